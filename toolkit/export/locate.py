"""Where two models begin to answer differently: the first node of the ONNX graph, as far as it can be known.

In: an export's folder whose parity failed, and what failed. Out: sentences. Three questions, in turn: does a row's
answer depend on the rows beside it; does ONNX Runtime's optimisation change it; and, for a PyTorch model, which module
is the first whose output differs from the original's. A wrong value can look right again further on (ReLU, argmax), so
values are compared in the graph's order until the first one differs, some at a time, and not by halving.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ModelRefused
from toolkit.export.arrays import Array, read_arrays
from toolkit.export.noise import noise_between, tolerance_from_noise
from toolkit.export.onnxruntime import LEVELS, answers_of, open_onnx, runtime_errors
from toolkit.export.parity import ParityResult, compare
from toolkit.export.spec import MODEL_FILE, REFERENCE_FILE, SAMPLES_FILE
from toolkit.models.onnx import read_onnx
from toolkit.records import write_bytes

#: Values of the graph that are held in memory at once.
CHUNK = 48
PROBE_FILE = ".probe.onnx"
#: What two runs of one graph may differ by, as a share of a value's scale, where no noise is known.
SAME = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first value that differs: the node that makes it, and how far it is off as a share of the value's scale."""

    node: str
    operator: str
    value: str
    share: float

    def text(self) -> str:
        """A phrase for people."""
        how = f"off by {self.share:.2g} of its scale" if np.isfinite(self.share) else "of another shape, or not finite"
        return f"node '{self.node}' ({self.operator}), whose value '{self.value}' is {how}"


def locate_in_graph(folder: Path, parity: ParityResult) -> tuple[str, ...]:
    """Why an exported graph answers wrongly, as far as the graph alone tells; empty when it does not.

    Compares one row, the worst, at batch 1 with the reference, then with the batch that failed, then without
    optimisation.
    """
    worst = max((o for o in parity.outputs if not o.passed), key=lambda o: o.mismatches, default=None)
    if worst is None:
        return ()
    samples, reference = read_arrays(folder / SAMPLES_FILE), read_arrays(folder / REFERENCE_FILE)
    row = min(max(worst.worst_sample, 0), len(reference[worst.output]) - 1)
    allowed = {output.output: output.tolerance for output in parity.outputs if not output.problem}
    one = {name: array[row : row + 1] for name, array in samples.items()}
    wanted = {name: array[row : row + 1] for name, array in reference.items()}
    try:
        alone = answers_of(open_onnx(folder / MODEL_FILE), one)
        if compare(wanted, alone, allowed).passed:
            size = worst.batch_size or 1
            return _batch_text(folder / MODEL_FILE, samples, row, size) if size > 1 else ()
        return _optimiser_text(folder / MODEL_FILE, one, wanted, allowed)
    except runtime_errors() as err:
        return (f"ONNX Runtime cannot run one row: {str(err).strip().splitlines()[0]}",)


def _batch_text(path: Path, samples: Mapping[str, Array], row: int, size: int) -> tuple[str, ...]:
    start = row // size * size
    batch = {name: array[start : start + size] for name, array in samples.items()}
    place = row - start
    what = f"one row alone is answered rightly, and wrongly in a batch of {len(next(iter(batch.values())))}"
    one = {name: array[place : place + 1] for name, array in batch.items()}
    try:
        found = first_difference(path, path, one, batch, place=place)
    except runtime_errors() as err:
        return (f"{what}: {str(err).strip().splitlines()[0]}",)
    where = f"the first to depend on the other rows is {found.text()}" if found else "no single node was found"
    return (f"{what}: {where}",)


def _optimiser_text(
    path: Path, one: Mapping[str, Array], wanted: Mapping[str, Array], allowed: Mapping[str, Any]
) -> tuple[str, ...]:
    agrees = {level: compare(wanted, answers_of(open_onnx(path, level=level), one), allowed).passed for level in LEVELS}
    if not agrees["none"]:
        return ()
    guilty = next((level for level, right in agrees.items() if not right), "")
    return (f"the graph is right without ONNX Runtime's optimisation and wrong with it (level {guilty or 'all'})",)


def locate_loss(original: Path, variant: Path, samples: Mapping[str, Array]) -> tuple[str, ...]:
    """Where a variant in lower precision loses most: the node after which the error of the values grows most.

    On the first sample; values that both graphs name alike are compared. Empty where none can be.
    """
    one = {name: array[:1] for name, array in samples.items()}
    known, before, steepest = set(value_names(original)), 0.0, (0.0, "")
    for names in _chunks(name for name in value_names(variant) if name in known):
        wanted, got = values_of(original, names, one), values_of(variant, names, one)
        for name in (n for n in names if n in wanted and n in got):
            share = difference_share(wanted[name], got[name])
            steepest = max(steepest, (share - before, name))
            before = min(share, 1.0)
    if not steepest[1]:
        return ()
    return (f"the error grows most at {divergence_at(variant, steepest[1], steepest[0]).text()}",)


def first_difference(
    expected: Path, found: Path, one: Mapping[str, Array], given: Mapping[str, Array], *, place: int = 0
) -> Divergence | None:
    """The first value, in the order of the graph `found`, that differs in row `place` of the answer to `given`.

    Both graphs name their values alike: the same graph, or one made from the other. `one` holds that row alone.
    Values without a row for each row of `given` are passed over. Raises ONNX Runtime's errors.
    """
    known = set(value_names(expected))
    rows = len(next(iter(given.values())))
    for names in _chunks(name for name in value_names(found) if name in known):
        before, after = values_of(expected, names, one), values_of(found, names, given)
        for name in names:
            if name in before and name in after and len(before[name]) == 1 and len(after[name]) == rows:
                share = difference_share(before[name], after[name][place : place + 1])
                if share > SAME:
                    return divergence_at(found, name, share)
    return None


def difference_share(wanted: Array, got: Array) -> float:
    """The largest difference as a share of the scale of `wanted`; infinite for other shapes and lost finiteness."""
    if wanted.shape != got.shape or not np.array_equal(np.isfinite(wanted), np.isfinite(got)):
        return float("inf")
    noise = noise_between("", wanted, got, probe="")
    return max(noise.absolute / noise.scale, noise.relative) if noise.scale else float(bool(got.any()))


def divergence_at(path: Path, value: str, share: float) -> Divergence:
    """The Divergence for a value of the graph at `path`."""
    node = next(node for node in read_onnx(path).graph.node if value in node.output)
    return Divergence(node=node.name or node.op_type, operator=node.op_type, value=value, share=share)


def value_names(path: Path) -> tuple[str, ...]:
    """Every value that a node of the main graph makes, in its order."""
    return tuple(name for node in read_onnx(path).graph.node for name in node.output if name)


def values_of(path: Path, names: Sequence[str], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The values `names` of the graph, computed without optimisation; floating-point arrays with rows only."""
    import onnx

    model = read_onnx(path)
    outputs = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in outputs)
    probe = path.with_name(PROBE_FILE)  # beside the model, where its external data is
    try:
        write_bytes(probe, model.SerializeToString())
        answers = answers_of(open_onnx(probe, level="none"), inputs)
    except ModelRefused:
        return {}
    finally:
        probe.unlink(missing_ok=True)
    return {
        name: answers[name]
        for name in names
        if isinstance(answers[name], np.ndarray) and answers[name].dtype.kind == "f" and answers[name].ndim
    }


def modules_that_differ(
    path: Path, modules: Mapping[str, str], one: Mapping[str, Array], original: Mapping[str, tuple[Array, Array]]
) -> Divergence | None:
    """The first module whose output in the graph is not the original's; `original` has it in float32 and float64.

    In the order in which the original's modules finished; those that the graph does not name are passed over.
    """
    present = set(value_names(path))
    named = [name for name in original if modules.get(name) in present]
    for chunk in _chunks(named):
        found = values_of(path, [modules[name] for name in chunk], one)
        for name in chunk:
            wanted, exact = original[name]
            got = found.get(modules[name])
            if got is None or got.shape != wanted.shape:
                continue
            allowed = tolerance_from_noise(noise_between(name, wanted, exact, probe=""))
            if not compare({name: wanted}, {name: got}, allowed).passed:
                return divergence_at(path, modules[name], difference_share(wanted, got))
    return None


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(names)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
