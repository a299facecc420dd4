"""Parity on trial: does it cry wolf on valid exports, and does it see small real faults? Prints both tables.

Every model of `model_zoo` with ten seeds must pass. Then, in the graph of one seed, weights in turn are moved by one
part in a thousand, with seeded signs, and have two channels exchanged; what the noise's tolerance and the table by
dtype see of it is counted. `TOOLKIT_SEEDS=2` tries fewer seeds, `-k bert` fewer models.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from model_zoo import MODELS, Brought
from onnx import numpy_helper

from toolkit.export.check import check_parity, read_facts
from toolkit.export.noise import MARGIN
from toolkit.export.parity import ParityResult
from toolkit.export.spec import FACTS_FILE, MODEL_FILE, ExportSpec, ReferenceFacts, WorkerRequest
from toolkit.export.worker import serve
from toolkit.models.source import source_from_path
from toolkit.records import write_json

pytestmark = pytest.mark.slow

SEEDS = int(os.environ.get("TOOLKIT_SEEDS", "10"))
ROWS = 16
ERROR = 1e-3
#: Weights that are tried of each model, seeded. Some faults change no answer beyond rounding, and nobody can see them:
#: the bias of an attention's keys cancels in its softmax, ConvNeXt begins with its branches scaled by a millionth.
MOST_WEIGHTS = 12
#: A weight of fewer elements is a constant of the graph (an axis, an epsilon), not one that was learnt.
FEWEST = 4


def exported(brought: Brought, seed: int, folder: Path) -> tuple[Path, ExportSpec]:
    """The model's export by the worker's functions in this process: starting one for each would take an hour."""
    source = source_from_path(brought.make(folder / "customer", seed), trust=brought.trust)
    spec = ExportSpec(sample_count=ROWS, seed=seed)
    (folder / "out").mkdir(parents=True)
    serve(WorkerRequest(action="export", source=source, spec=spec), folder / "out", lambda phase: None)
    return folder / "out", spec


def noise_units(result: ParityResult) -> float:
    """The largest difference in units of the noise, whose MARGIN is tolerated; of the outputs that have a scale."""
    shares = [
        MARGIN * o.max_absolute / (o.tolerance.absolute + o.tolerance.relative * n.scale)
        for n in result.noise
        for o in result.outputs
        if o.output == n.output and n.scale
    ]
    return max(shares, default=float("nan"))


def planted(model: Any) -> Iterator[tuple[str, str]]:
    """One fault at a time in the graph, as (kind, weight); it is put right again afterwards."""
    random = np.random.default_rng(0)
    weights = [w for w in model.graph.initializer if w.data_type == 1 and numpy_helper.to_array(w).any()]
    weights = [w for w in weights if np.prod(w.dims) >= FEWEST]
    for index in sorted(random.permutation(len(weights))[:MOST_WEIGHTS]):
        tensor = weights[index]
        values = numpy_helper.to_array(tensor)
        moved = values * (1 + ERROR * random.choice([-1, 1], values.shape))
        swapped = values.copy()
        if len(values) > 1:
            swapped[[0, 1]] = values[[1, 0]]
        for kind, wrong in (("moved", moved), ("swapped", swapped)):
            if not np.array_equal(wrong, values):
                tensor.CopyFrom(numpy_helper.from_array(wrong.astype(np.float32), tensor.name))
                yield kind, tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


@pytest.mark.parametrize("brought", MODELS, ids=lambda brought: brought.name)
def test_no_false_alarm_with_ten_seeds(brought, tmp_path):
    units, alarms = [], []
    for seed in range(SEEDS):
        folder, spec = exported(brought, seed, tmp_path / str(seed))
        result = check_parity(folder, spec)
        units.append(noise_units(result))
        if not result.passed:
            alarms.append(f"seed {seed}: {result.reason}")
    known = [u for u in units if np.isfinite(u)]
    worst = f"{max(known):.2f}" if known else "-"
    print(f"\n| {brought.name} | {SEEDS} | {len(alarms)} | {worst} | {read_facts(folder).comparing} |", flush=True)
    assert not alarms


@pytest.mark.parametrize("brought", MODELS, ids=lambda brought: brought.name)
def test_small_faults_are_seen(brought, tmp_path):
    folder, spec = exported(brought, 0, tmp_path)
    spec = replace(spec, batch_sizes=(1, 8))
    facts, count, missed = read_facts(folder), Counter[str](), []
    model = onnx.load(folder / MODEL_FILE)
    for kind, weight in planted(model):
        onnx.save(model, folder / MODEL_FILE)
        seen = not check_parity(folder, spec).passed
        write_json(folder / FACTS_FILE, ReferenceFacts(comparing=facts.comparing))
        by_table = not check_parity(folder, spec).passed
        write_json(folder / FACTS_FILE, facts)
        count.update({kind: 1, f"{kind} seen": int(seen), f"{kind} by table": int(by_table)})
        missed += [] if seen else [f"{kind} {weight}"]
    if not count["moved"]:
        pytest.skip("no weights in its graph: those of trees are attributes")
    shares = [f"{count[f'{kind} {how}']}" for kind in ("moved", "swapped") for how in ("seen", "by table")]
    print(f"\n| {brought.name} | {count['moved']} | {' | '.join(shares)} | {'; '.join(missed)} |", flush=True)
    assert count["moved seen"] >= count["moved by table"] and count["swapped seen"] >= count["swapped by table"]
    assert count["moved seen"] + count["swapped seen"]
