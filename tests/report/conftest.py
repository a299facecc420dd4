"""One realistic report and its worse siblings: failed, undecided, invalid, empty, and with hostile names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from toolkit.artifact import Artifact
from toolkit.environment import Environment, Gpu
from toolkit.export.parity import (
    BatchEvidence,
    LiveParity,
    OutputParity,
    ParityResult,
    TaskResult,
    Tolerance,
)
from toolkit.load.drift import Drift
from toolkit.load.goodput import Goodput
from toolkit.load.measurement import (
    BatchCount,
    ClientHealth,
    Distribution,
    ErrorCount,
    Measurement,
    ModelSplit,
    Quantile,
    Streams,
    TimeSplit,
    Warning,
)
from toolkit.load.pattern import Concurrency, Ramp, RequestRate, Trace
from toolkit.load.slo import Criterion, Slo, TimeLimit
from toolkit.load.verdict import Outcome, Verdict
from toolkit.report.report import BundleOmitted, BundleWritten, ExportParity, PipelineStep, Report
from toolkit.tensor import Signature, TensorSpec
from toolkit.tune.decision import Candidate, Point, Trial, decide

HOSTILE = "<script>alert('x')</script>&\"</svg>"
SLO = Slo(criteria=(Criterion(metric="latency", statistic="p99", limit=0.020),))


def distribution(p50_s: float, p99_s: float, count: int) -> Distribution:
    spread = {0.5: p50_s, 0.9: p50_s + 0.55 * (p99_s - p50_s), 0.95: p50_s + 0.75 * (p99_s - p50_s), 0.99: p99_s}
    quantiles = tuple(
        Quantile(q=q, value_s=v, low_s=0.96 * v, high_s=1.0 * v * (1.03 + 0.1 * (q - 0.5)) if count > 400 else None)
        for q, v in spread.items()
    )
    return Distribution(
        count=count, mean_s=1.08 * p50_s, minimum_s=0.6 * p50_s, maximum_s=2 * p99_s, quantiles=quantiles
    )


def model_split(model: str, requests: int, batch: int, infer_s: float) -> ModelSplit:
    batches = tuple(
        BatchCount(
            size=size, executions=max(1, round(requests / batch / (1 + abs(size - batch)) ** 2)), infer_s=infer_s
        )
        for size in range(1, batch + 2)
    )
    return ModelSplit(
        model=model,
        requests=requests,
        failures=0,
        executions=sum(b.executions for b in batches),
        request_s=2 * infer_s,
        queue_s=0.4 * infer_s,
        input_s=0.1 * infer_s,
        infer_s=infer_s,
        output_s=0.15 * infer_s,
        cache_hits=0,
        batches=batches,
    )


def measurement(clients: int, rate: float, p99_s: float, **changes: Any) -> Measurement:
    count, p50_s = int(rate * 10), 0.62 * p99_s
    mean = 1.08 * p50_s
    split = TimeSplit(
        latency_s=mean,
        queue_s=0.06 * mean * clients**0.5,
        input_s=0.04 * mean,
        infer_s=0.56 * mean,
        output_s=0.06 * mean,
        network_s=0.07 * mean,
        client_s=0.03 * mean,
        remainder_s=mean * (0.24 - 0.06 * clients**0.5),
    )
    whole = Measurement(
        load=Concurrency(clients=clients, duration_s=10.0),
        latency=distribution(p50_s, p99_s, count),
        service=distribution(0.99 * p50_s, 0.99 * p99_s, count),
        throughput_per_s=rate,
        offered_per_s=None,
        requests=count,
        errors=(),
        window_s=10.0,
        warmup_discarded=37,
        models=(
            model_split("digits", count, 1, 0.62 * mean),
            model_split("digits_decode", count, 1, 0.15 * mean),
            model_split("digits_classifier", count, clients, 0.41 * mean),
        ),
        split=split,
        client=ClientHealth(cpu_share=0.18 + 0.01 * clients, cpu_per_request_s=9.2e-6),
        warnings=(),
    )
    return replace(whole, **changes)


def point(clients: int, rate: float, p99_s: float, outcome: Outcome, slo: Slo = SLO, **changes: Any) -> Point:
    figures = measurement(clients, rate, p99_s, **changes)
    verdicts = tuple(
        Verdict(
            criterion=criterion,
            outcome=outcome,
            measured=p99_s,
            low=0.96 * p99_s,
            high=1.05 * p99_s,
            samples=figures.requests,
            effective_samples=figures.requests / 2.6,
            over_limit=3,
            confidence=0.99,
            reason="3 of 1,602 effective samples exceed the limit; 2,010 are needed for more than 2",
        )
        for criterion in slo.criteria
    )
    return Point(measurement=figures, verdicts=verdicts, outcome=outcome)


def client_limited() -> Warning:
    return Warning(
        kind="ClientLimited",
        text="The load generator used 92 % of a core, more than 70 %: it may have set the pace. Use fewer clients.",
        figure=0.92,
        threshold=0.7,
        invalid=True,
    )


def trials() -> tuple[Trial, ...]:
    two = {"digits_classifier": {"instance_group": [{"count": 2}]}}
    delay = {"digits_classifier": {"dynamic_batching": {"max_queue_delay_microseconds": 500}}}
    drift = Warning(
        kind="Drifting",
        text="The second half of the window was 7 % slower than the first, more than 5 %: something else ran on this "
        "machine. Close other programs and measure again.",
        figure=0.07,
        threshold=0.05,
    )
    return (
        Trial(
            candidate=Candidate(name="as-exported", config={}),
            points=(
                point(1, 96.4, 0.0122, "PASS"),
                point(2, 171.0, 0.0139, "PASS"),
                point(4, 239.7, 0.0187, "PASS"),
                point(8, 262.3, 0.0394, "FAIL"),
            ),
        ),
        Trial(
            candidate=Candidate(name="two-instances", config=two),
            points=(
                point(1, 91.2, 0.0127, "PASS"),
                point(2, 188.4, 0.0131, "PASS"),
                point(4, 318.9, 0.0182, "PASS", warnings=(drift,)),
                point(8, 331.5, 0.0311, "FAIL"),
            ),
        ),
        Trial(
            candidate=Candidate(name="queue-delay-500us", config=delay),
            points=(
                point(1, 88.0, 0.0131, "PASS"),
                point(2, 160.3, 0.0147, "PASS"),
                point(4, 233.1, 0.0202, "UNDECIDED"),
                point(8, 271.8, 0.0377, "INVALID", warnings=(client_limited(),)),
            ),
        ),
    )


def parity(passed: bool = True) -> ParityResult:
    output = OutputParity(
        output="probabilities",
        tolerance=Tolerance(absolute=1e-5, relative=1e-4),
        elements=640,
        mismatches=0 if passed else 12,
        max_absolute=4.77e-7 if passed else 0.31,
        max_relative=3.1e-6 if passed else 0.72,
        cosine=1.0 if passed else 0.91,
        worst_sample=17,
    )
    return ParityResult(
        passed=passed,
        reason="every element agrees" if passed else "probabilities: 12 of 640 elements differ; the worst is sample 17",
        samples=64,
        batch_sizes=(1, 2, 3, 8),
        outputs=(output,),
        task=TaskResult(metric="top-1", reference=0.9778, answers=0.9778, samples=360, disagreements=0),
    )


def live(outcome: str = "PASS") -> LiveParity:
    reason = {
        "PASS": "every answer equals the reference of its own input",
        "FAIL": "3 of 256 answers differ from the reference of their own input",
        "INVALID": "digits_classifier executed no batch above 1, so batching was not tested",
    }[outcome]
    evidence = BatchEvidence(model="digits_classifier", executions={"1": 12, "4": 31, "8": 15})
    return LiveParity(
        outcome=outcome,
        reason=reason,
        requests=256,
        clients=16,
        failures=0,
        result=parity(outcome != "FAIL"),
        evidence=(evidence,),
    )


def environment(*gpus: Gpu) -> Environment:
    return Environment(
        cpu="AMD EPYC 7763 64-Core Processor",
        cores=2.0,
        memory_bytes=8 * 2**30,
        gpus=gpus,
        system="Linux 6.1.0 x86_64",
        python="3.11.2",
        packages={"numpy": "1.26.4", "onnx": "1.23.2", "onnxruntime": "1.31.1", "nvidia-pytriton": "0.7.0"},
        in_container=False,
    )


def artifact(name: str = "digits_classifier") -> Artifact:
    images = TensorSpec(name="image", dtype="FP32", shape=("batch", 1, 8, 8))
    scores = TensorSpec(name="probabilities", dtype="FP32", shape=("batch", 10))
    return Artifact(
        name=name,
        format="onnx",
        precision="fp32",
        files=("model.onnx",),
        signature=Signature(inputs=(images,), outputs=(scores,)),
        sha256="9f2c4e0b" * 8,
        built_on="AMD EPYC 7763, Linux 6.1.0",
        opset=20,
        source_sha256="1ab3" * 16,
        parity="PASS",
    )


def make_report(measured: tuple[Trial, ...] | None = None, **changes: Any) -> Report:
    measured = trials() if measured is None else measured
    values: dict[str, Any] = {
        "title": "Handwritten digits, served by Triton",
        "poc": "vision",
        "family": "vision",
        "run": "20260301T141502Z-5f3a9c",
        "created": "2026-03-01T14:21:40Z",
        "environment": environment(),
        "decision": decide(SLO, measured, device="CPU"),
        "slo": SLO,
        "trials": measured,
        "artifacts": (artifact(),),
        "export_parity": (ExportParity(artifact="digits_classifier", result=parity()),),
        "live_parity": live(),
        "accuracy": TaskResult(metric="top-1", reference=0.9778, answers=0.9778, samples=360, disagreements=0),
        "pipeline": "One request holds a PNG or JPEG image and returns the probabilities of the ten digits.",
        "steps": (
            PipelineStep(name="digits", backend="ensemble", role="the pipeline that a customer calls"),
            PipelineStep(name="digits_decode", backend="python", role="PNG or JPEG bytes to a tensor"),
            PipelineStep(name="digits_classifier", backend="onnxruntime", role="tensor to class probabilities"),
        ),
        "commands": ("toolkit run pocs/vision", "toolkit report 20260301T141502Z-5f3a9c"),
        "versions": {"poc-toolkit": "0.1.0", "Triton": "2.51.0"},
        "seeds": {"training": 0, "load": 7},
        "bundle": BundleWritten(path="deploy/compose"),
    }
    return Report(**(values | changes))


def undecided_report() -> Report:
    return make_report(
        tuple(replace(t, points=(point(1, 12.0, 0.0207, "UNDECIDED"),)) for t in trials()[:1]),
        live_parity=live("INVALID"),
        accuracy=None,
        bundle=BundleOmitted(reason="No configuration passed."),
    )


def failed_report() -> Report:
    errors = (ErrorCount(kind="timeout", count=3),)
    return make_report(
        tuple(replace(t, points=(point(1, 40.0 + n, 0.052, "FAIL", errors=errors),)) for n, t in enumerate(trials())),
        export_parity=(ExportParity(artifact="digits_classifier", result=parity(False)),),
        live_parity=live("FAIL"),
        bundle=BundleOmitted(reason="No configuration passed."),
    )


def invalid_report() -> Report:
    return make_report(
        tuple(replace(t, points=(point(64, 900.0, 0.09, "INVALID", warnings=(client_limited(),)),)) for t in trials())
    )


def empty_report() -> Report:
    nothing = BundleOmitted(reason="Nothing was measured.")
    bare = {"artifacts": (), "export_parity": (), "steps": (), "commands": (), "pipeline": ""}
    return make_report((), live_parity=None, accuracy=None, versions={}, seeds={}, bundle=nothing, **bare)


def hostile_report() -> Report:
    return make_report(
        tuple(replace(t, candidate=replace(t.candidate, name=HOSTILE + str(n))) for n, t in enumerate(trials())),
        title=HOSTILE,
        poc=HOSTILE,
        family=HOSTILE,
        run=HOSTILE,
        pipeline=HOSTILE,
        steps=(PipelineStep(name=HOSTILE, backend=HOSTILE, role=HOSTILE),),
        artifacts=(artifact(HOSTILE),),
        commands=(HOSTILE,),
        not_shown=(HOSTILE,),
        versions={HOSTILE: HOSTILE},
        seeds={HOSTILE: 1},
        bundle=BundleOmitted(reason=HOSTILE),
    )


def gpu_report() -> Report:
    return make_report(environment=environment(Gpu(name="NVIDIA H200", memory_bytes=141 * 2**30, driver="570.1")))


def offered(rate: float, achieved: float, p99_s: float, outcome: Outcome, **changes: Any) -> Point:
    """A point of an open load."""
    load = RequestRate(rate_per_s=rate, duration_s=10.0)
    return point(4, achieved, p99_s, outcome, load=load, offered_per_s=rate, **changes)


def open_trials() -> tuple[Trial, ...]:
    two = {"digits_classifier": {"instance_group": [{"count": 2}]}}
    rates = ((100.0, 99.8, 0.0081), (200.0, 199.6, 0.0098), (300.0, 299.1, 0.0163), (400.0, 331.0, 0.912))
    slower = ((100.0, 99.9, 0.0112), (200.0, 200.3, 0.0187), (300.0, 261.7, 0.488), (400.0, 262.0, 1.94))
    return tuple(
        Trial(
            candidate=Candidate(name=name, config=config),
            points=tuple(offered(r, a, p, "PASS" if p < 0.02 else "FAIL") for r, a, p in measured),
        )
        for name, config, measured in (("as-exported", {}, slower), ("two-instances", two, rates))
    )


def open_report() -> Report:
    return make_report(open_trials())


def mixed_report() -> Report:
    """Closed loops and an open load of each kind; the sweep's first point was another at its end."""
    closed = (point(1, 96.4, 0.0122, "PASS"), point(4, 239.7, 0.0187, "PASS"))
    ramp = Ramp(from_per_s=50.0, to_per_s=400.0)
    trace = Trace(timestamps_s=tuple(n / 150 for n in range(1500)))
    others = (
        offered(200.0, 199.6, 0.0191, "PASS"),
        point(4, 224.0, 0.31, "FAIL", load=ramp, offered_per_s=225.0),
        point(4, 149.0, 0.0171, "PASS", load=trace, offered_per_s=150.0),
    )
    text = "measured again at the end, the p50 with 1 client was 9.1 ms after 7.6 ms at first (+20 %, limit 10 %)"
    warning = Warning(kind="Drifting", text=text, figure=0.2, threshold=0.1)
    drift = Drift(load=closed[0].load, first_s=0.0076, again_s=0.0091, warning=warning)
    return make_report((Trial(candidate=Candidate(name="as-served", config={}), points=closed + others),), drift=drift)


def streamed(point: Point, scale: float) -> Point:
    """A point whose answers were streams: token times grow by `scale`."""
    streams = Streams(
        ttft=distribution(0.02 * scale, 0.05 * scale, 900),
        tpot=distribution(0.004 * scale, 0.006 * scale, 900),
        itl=distribution(0.004 * scale, 0.011 * scale, 9000),
        tokens_per_s=1234.0,
        tokens=31.5,
    )
    good = Goodput(per_s=40.0, low_per_s=38.0, high_per_s=41.0, share=0.97, low_share=0.95, high_share=0.98)
    return replace(point, measurement=replace(point.measurement, streams=streams, goodput=good))


def streamed_report() -> Report:
    """Every point streamed tokens, and the objective limits those too."""
    measured = tuple(replace(t, points=tuple(streamed(p, 1.0 + n) for n, p in enumerate(t.points))) for t in trials())
    limits = tuple(TimeLimit(metric=m, limit_s=s) for m, s in (("ttft", 0.2), ("tpot", 0.05)))
    good = Criterion(metric="goodput", statistic="rate", limit=0.95, within=limits)
    return make_report(measured, slo=Slo(criteria=(*SLO.criteria, good)))


REPORTS: dict[str, Callable[..., Report]] = {
    "passed": make_report,
    "undecided": undecided_report,
    "failed": failed_report,
    "invalid": invalid_report,
    "empty": empty_report,
    "hostile": hostile_report,
    "gpu": gpu_report,
    "open": open_report,
    "mixed": mixed_report,
    "streamed": streamed_report,
}


@pytest.fixture(params=REPORTS)
def any_report(request: pytest.FixtureRequest) -> Report:
    """Each kind of report in turn."""
    return REPORTS[request.param]()


@pytest.fixture(scope="session")
def reports() -> dict[str, Callable[..., Report]]:
    """The reports by name; "passed" takes changed fields."""
    return REPORTS
