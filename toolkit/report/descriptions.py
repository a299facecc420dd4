"""What a chart says, in words: the text alternative of each chart, generated from the same values.

In: values of the load and tune stages. Out: one or two sentences. This module does not know how a chart looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from toolkit.load.goodput import limits_of
from toolkit.load.measurement import Measurement, ModelSplit, Quantile, TimeSplit
from toolkit.load.pattern import load_text
from toolkit.load.slo import Slo
from toolkit.tune.decision import Decision, Trial
from toolkit.tune.words import percent_text, rate_text, time_text, under_text

Axis = Literal["Offered rate", "Throughput"]

#: The parts of a mean request, as `TimeSplit` names them, in the order in which a request meets them.
PARTS = ("queue", "input", "infer", "output", "network", "client", "remainder")


def charted_percentile(slo: Slo, trials: tuple[Trial, ...]) -> tuple[float, float | None]:
    """The latency percentile that the SLO limits, as a fraction, and that limit in seconds.

    p99 without a limit when the SLO names none, or one that no measurement computed.
    """
    computed = {v.q for t in trials for p in t.points for v in p.measurement.latency.quantiles}
    for criterion in slo.criteria:
        q = criterion.quantile
        if criterion.metric == "latency" and q is not None and (q in computed or not computed):
            return q, criterion.limit
    return 0.99, None


def charted_rate(trials: tuple[Trial, ...]) -> Axis:
    """What latency is drawn over: the offered rate where every load was open, else the throughput.

    Beyond its capacity a server's throughput stands still while its latency grows with what is offered.
    """
    measurements = [point.measurement for trial in trials for point in trial.points]
    is_open = bool(measurements) and all(m.offered_per_s is not None for m in measurements)
    return "Offered rate" if is_open else "Throughput"


def rate_on(axis: Axis, measurement: Measurement) -> float:
    """A measurement's place on that axis, in requests per second."""
    offered = measurement.offered_per_s
    return offered if axis == "Offered rate" and offered is not None else measurement.throughput_per_s


def percentile_name(q: float) -> str:
    """`p99` for 0.99."""
    return f"p{100 * q:g}"


def percentile(measurement: Measurement, q: float) -> Quantile | None:
    """The latency percentile `q`, or None for a measurement that did not compute it."""
    return next((v for v in measurement.latency.quantiles if abs(v.q - q) < 1e-9), None)


def stream_rows(trials: tuple[Trial, ...]) -> list[dict[str, Any]]:
    """Median and p99 (ms) of the times to the first and per output token, a row for each point and metric."""
    found = [(t.candidate.name, p.measurement) for t in trials for p in t.points if p.measurement.streams is not None]
    rows = []
    for candidate, measurement in found:
        assert measurement.streams is not None
        for name, times in (("ttft", measurement.streams.ttft), ("tpot", measurement.streams.tpot)):
            if not times.is_empty:
                figures = {"p50": times.at(0.5).value_s * 1e3, "p99": times.at(0.99).value_s * 1e3}
                rows.append({"candidate": candidate, "load": load_text(measurement.load), "metric": name} | figures)
    return rows


def describe_streams(trials: tuple[Trial, ...], slo: Slo) -> str:
    """The text alternative of the chart of token times: each candidate at its first and its last load."""
    rows, said = stream_rows(trials), ["Time to the first token and per output token over the load."]
    for trial in trials:
        for name in ("ttft", "tpot"):
            own = [r for r in rows if r["candidate"] == trial.candidate.name and r["metric"] == name]
            ends = [f"{time_text(row['p50'] / 1e3)} with {row['load']}" for row in own[:: max(1, len(own) - 1)]]
            if ends:
                said.append(f"{trial.candidate.name}: median {name} {' and '.join(ends)}.")
    limits = [f"{bound.metric} at {time_text(bound.limit_s)}" for bound in limits_of(slo)]
    return " ".join((*said, f"The SLO limits {' and '.join(limits)}." if limits else "")).strip()


def describe_latency_throughput(trials: tuple[Trial, ...], slo: Slo, decision: Decision | None) -> str:
    """The text alternative of the latency-throughput chart: each candidate from its first to its last load."""
    q, limit_s = charted_percentile(slo, trials)
    axis = charted_rate(trials)
    said = [f"{percentile_name(q)} latency over {axis.lower()}.", *(_describe_trial(t, q, axis) for t in trials)]
    if limit_s is not None:
        said.append(f"The SLO line is at {time_text(limit_s)}.")
    if decision is not None and decision.load is not None:
        said.append(f"Chosen: {decision.candidate} with {under_text(decision.load)}.")
    return " ".join(said)


def _describe_trial(trial: Trial, q: float, axis: Axis) -> str:
    shown = [(m, v) for m in (p.measurement for p in trial.points) if (v := percentile(m, q)) is not None]
    texts = [f"{time_text(v.value_s)} at {rate_text(rate_on(axis, m))} requests/s" for m, v in shown]
    if len(texts) < 2:
        return f"{trial.candidate.name}: {texts[0] if texts else 'no point'}."
    return f"{trial.candidate.name}: from {texts[0]} to {texts[-1]} over {len(texts)} loads."


def describe_time_split(splits: Iterable[tuple[str, TimeSplit]]) -> str:
    """The text alternative of the time split: each bar's total and its largest part."""
    return f"Mean time per request, taken apart. {'; '.join(_describe_split(*labelled) for labelled in splits)}."


def _describe_split(label: str, split: TimeSplit) -> str:
    part = max(PARTS, key=lambda name: part_s(split, name))
    share = f", {percent_text(part_s(split, part) / split.latency_s)} of it {part}" if split.latency_s else ""
    return f"{label}: {time_text(split.latency_s)}{share}"


def part_s(split: TimeSplit, name: str) -> float:
    """One part of the mean request, in seconds."""
    seconds: float = getattr(split, f"{name}_s")
    return seconds


def describe_batch_sizes(model: ModelSplit) -> str:
    """The text alternative of the batch-size histogram: the commonest size, and the mean over requests' executions."""
    if not model.batches:
        return f"No executions of {model.model} were counted."
    total = sum(batch.executions for batch in model.batches)
    top = max(model.batches, key=lambda batch: batch.executions)
    mean = sum(batch.size * batch.executions for batch in model.batches) / (total or 1)
    return (
        f"{model.model}: {total:,} executions, mean batch size {mean:.1f}, most often {top.size} ({top.executions:,})."
    )
