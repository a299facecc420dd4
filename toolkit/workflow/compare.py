"""`toolkit compare`: two runs set side by side, measured again in turn where both can be served here.

Both repositories are served at once, and one of them is loaded at a time, in the order A B B A ...: what drifts with
the minutes falls on both alike, and no round pays for a model that is still warming up. The idle server takes less than
a hundredth of a core. Without a repository on both sides, or with `recorded`, the figures are those that the runs hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

from toolkit.environment import environment_here
from toolkit.errors import ConfigurationError, ServerTrouble, UsageError
from toolkit.families import FAMILIES
from toolkit.load.difference import Difference, differences_of_records, differences_of_rounds, sentence
from toolkit.load.gate import Gate, GateOutcome, judge_gate
from toolkit.load.measurement import Measurement
from toolkit.load.pattern import Concurrency, Load, RequestRate, load_text
from toolkit.load.request_records import Records, read_records, write_records
from toolkit.load.slo import Slo
from toolkit.load.sweep import measure_point
from toolkit.records import digest_of_value, read_json, write_json
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Endpoint
from toolkit.tune.decision import Candidate, Decision
from toolkit.workflow.comparability import changes, mismatches, why_not_comparable
from toolkit.workflow.compare_page import write_comparison_page
from toolkit.workflow.comparison import AtLoad, Comparison, GateVerdict, Question, Side
from toolkit.workflow.measure import MEASUREMENT, RECORDS, driving_of, trial_key
from toolkit.workflow.report import DECISION, HTML
from toolkit.workflow.requests import read_requests
from toolkit.workflow.runs import Manifest, Progress, finish_run, locked, new_run, read_manifest, repository_of

COMPARISON = "compare.json"
Pair = tuple[Measurement, Measurement]


def compare_runs(question: Question, *, command: str, root: Path, progress: Progress) -> tuple[Comparison, Path | None]:
    """Compare two runs. Returns the comparison, and the run folder that it was measured into, None without one.

    Raises UsageError for runs that do not compare, or have no load in common.
    """
    a, b = read_manifest(question.a), read_manifest(question.b)
    how = _chosen_way(question, a, b)
    loads = {load.name: load for load in a.subject.loads}
    common = [load.name for load in b.subject.loads if load.name in loads]
    if not common:
        raise UsageError(
            f"the runs have no load in common: {', '.join(loads)} and {', '.join(x.name for x in b.subject.loads)}",
            mend="toolkit sweep RUN measures a run at other loads",
        )
    if how == "recorded":
        measured, run = [_recorded(question, a, b, loads[name]) for name in common], None
    else:
        chosen = [_timed(loads[name], question.duration_s) for name in common]
        run, measured = _interleaved(question, (a, b), chosen, command=command, root=root, progress=progress)
    comparison = Comparison(
        a=_side(question.a, a, common[0]),
        b=_side(question.b, b, common[0]),
        how=how,
        changed=changes(question.a, question.b),
        only_in_one=tuple(sorted({load.name for m in (a, b) for load in m.subject.loads} - set(common))),
        loads=tuple(measured),
        gates=(gates := tuple(_judged(gate, at) for gate in question.gates for at in measured)),
        outcome=_overall([gate.outcome for gate in gates]),
    )
    if run is not None:
        write_json(run / COMPARISON, comparison)
        write_comparison_page(comparison, question.a, question.b, run / HTML)
        finish_run(run)
    return comparison, run


def _chosen_way(question: Question, a: Manifest, b: Manifest) -> Literal["interleaved", "recorded"]:
    """How to compare. Raises UsageError when the runs do not allow it."""
    lacking = [str(run) for run in (question.a, question.b) if repository_of(run) is None or not _requests(run)]
    if question.how == "interleaved":
        if lacking:
            raise UsageError(f"{lacking[0]} has no repository with requests to serve", mend="--recorded")
        return "interleaved"
    reasons = () if question.same_machine else why_not_comparable(a, b)
    if reasons:
        raise UsageError(
            "the recorded figures of these runs do not compare: " + "; ".join(reasons),
            mend="--same-machine says that both were measured alike" if lacking else "--interleave measures both here",
        )
    here = question.how == "auto" and not lacking and not mismatches(a.environment, environment_here())
    return "interleaved" if here else "recorded"


def _requests(run: Path) -> tuple[bytes, ...]:
    return read_requests(run / "requests")


def _side(run: Path, manifest: Manifest, load: str) -> Side:
    candidate = _candidate(run, manifest)
    place = run / f"trials/{candidate.name}/{load}" / MEASUREMENT
    engine = read_json(place, Measurement).engine if place.is_file() else "toolkit"
    return Side(run=str(run), candidate=candidate.name, engine=engine)


def _candidate(run: Path, manifest: Manifest) -> Candidate:
    """The configuration that a run chose, else its first."""
    chosen = read_json(run / DECISION, Decision).candidate if (run / DECISION).is_file() else None
    candidates = manifest.subject.candidates
    if not candidates:
        raise ConfigurationError(f"{run} holds no trial", mend="name the run folder of a sweep or of toolkit run")
    return next((c for c in candidates if c.name == chosen), candidates[0])


# --- recorded ---------------------------------------------------------------------------------------------------------


def _recorded(question: Question, a: Manifest, b: Manifest, load: Load) -> AtLoad:
    """One window of each, as the runs hold them."""
    points = [_point(question.a, a, load), _point(question.b, b, load)]
    left_out = tuple(
        f"{name} at {load.name}: {_why_invalid(point[0]) if point else 'it was not measured'}"
        for name, point in zip("AB", points, strict=True)
        if point is None or not point[0].is_valid
    )
    first, second = points
    if left_out or first is None or second is None:
        return AtLoad(load=load.name, text=load_text(load), differences=(), sentences=(), left_out=left_out)
    return _at_load(load, differences_of_records(*first, *second), ())


def _point(run: Path, manifest: Manifest, load: Load) -> tuple[Measurement, Records | None] | None:
    folder = run / trial_key(_candidate(run, manifest), load)
    if not (folder / MEASUREMENT).is_file():
        return None
    records = read_records(folder / RECORDS) if (folder / RECORDS).is_file() else None
    return read_json(folder / MEASUREMENT, Measurement), records


def _why_invalid(measurement: Measurement) -> str:
    if measurement.interrupted:
        return "it was interrupted"
    return next((w.text for w in measurement.warnings if w.invalid), "it is invalid")


def _at_load(load: Load, differences: tuple[Difference, ...], left_out: tuple[str, ...]) -> AtLoad:
    return AtLoad(
        load=load.name,
        text=load_text(load),
        differences=differences,
        sentences=tuple(sentence(difference) for difference in differences),
        left_out=left_out,
    )


# --- interleaved ------------------------------------------------------------------------------------------------------


def _timed(load: Load, duration_s: float | None) -> Load:
    """The load for as long as was asked; a ramp and a trace are what they are."""
    if duration_s is None or not isinstance(load, Concurrency | RequestRate):
        return load
    return replace(load, duration_s=duration_s, warmup_s=min(load.warmup_s, duration_s / 4))


def _interleaved(
    question: Question,
    manifests: tuple[Manifest, Manifest],
    loads: Sequence[Load],
    *,
    command: str,
    root: Path,
    progress: Progress,
) -> tuple[Path, list[AtLoad]]:
    """Serve both and measure them in turn, into a run folder of their own."""
    runs = {"a": question.a, "b": question.b}
    candidates = tuple(Candidate(name=side, config={}) for side in runs)
    subject = replace(manifests[1].subject, slo=Slo(criteria=()), candidates=candidates, loads=tuple(loads))
    subject = replace(subject, title=f"Comparison of {question.a.name} with {question.b.name}", remote="")
    models = {side: digest_of_value(read_manifest(run).model_sha256) for side, run in runs.items()}
    run = new_run(root, "compare", command, subject, config={"loads": loads, "runs": runs}, models=models)
    progress(f"run folder: {run}")
    with locked(run), ExitStack() as servers:
        endpoints = {}
        for side, of in runs.items():
            progress(f"starting the embedded Triton of {side.upper()}")
            repository = repository_of(of)
            assert repository is not None  # _chosen_way has looked
            endpoints[side] = servers.enter_context(serve_embedded(repository, log=run / f"{side}.log")).endpoint
        served = dict(zip(runs, manifests, strict=True))
        return run, [_rounds(run, load, question, endpoints, served, progress) for load in loads]


def _rounds(
    run: Path,
    load: Load,
    question: Question,
    endpoints: Mapping[str, Endpoint],
    manifests: Mapping[str, Manifest],
    progress: Progress,
) -> AtLoad:
    pairs: list[Pair] = []
    left_out = []
    requests = {"a": _requests(question.a), "b": _requests(question.b)}
    for number in range(question.rounds):
        progress(f"{load_text(load)}: round {number + 1} of {question.rounds}")
        driven = replace(load, seed=number) if isinstance(load, RequestRate) else load
        found = {}
        for side in ("a", "b") if number % 2 == 0 else ("b", "a"):
            models = manifests[side].subject.models
            how = driving_of(FAMILIES.get(manifests[side].subject.family))
            found[side], records = measure_point(
                endpoints[side],
                models[0],
                models,
                requests[side],
                driven,
                protocol=how.protocol,
                timeout_s=how.timeout_s,
            )
            folder = run / f"rounds/{number + 1}/{side}/{load.name}"
            write_json(folder / MEASUREMENT, found[side])
            write_records(folder / RECORDS, records)
            if records.interrupted:
                raise KeyboardInterrupt
            if records.ended == "server lost":
                raise ServerTrouble(
                    f"the server of {side.upper()} is gone in round {number + 1} of {load_text(load)}; what was "
                    f"measured is kept in {run}",
                    mend=f"see {run / f'{side}.log'}",
                )
        invalid = [f"{side.upper()}: {_why_invalid(m)}" for side, m in found.items() if not m.is_valid]
        left_out += [f"round {number + 1}, {why}" for why in invalid]
        pairs += [] if invalid else [(found["a"], found["b"])]
    return _at_load(load, differences_of_rounds(pairs), tuple(left_out))


# --- gates ------------------------------------------------------------------------------------------------------------


def _judged(gate: Gate, at: AtLoad) -> GateVerdict:
    for difference, words in zip(at.differences, at.sentences, strict=True):
        if difference.metric == gate.metric:
            return GateVerdict(gate=gate.text, load=at.load, outcome=judge_gate(gate, difference), reason=words)
    why = "; ".join(at.left_out) or f"a result does not say its {gate.metric} from the intended send"
    return GateVerdict(gate=gate.text, load=at.load, outcome="UNDECIDED", reason=why)


def _overall(outcomes: Sequence[GateOutcome]) -> GateOutcome:
    return "FAIL" if "FAIL" in outcomes else "UNDECIDED" if "UNDECIDED" in outcomes else "PASS"
