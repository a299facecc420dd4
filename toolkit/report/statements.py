"""What a report has to admit: its risks, and what its figures do not show. Pure: a Report in, sentences out.

Risks are ordered by what would hurt the customer most; page one takes the first three.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.load.pattern import Concurrency, RequestRate
from toolkit.load.verdict import Verdict
from toolkit.report.report import Report
from toolkit.tune.decision import NOISE, Point, rivals_within_noise
from toolkit.tune.words import (
    closed_text,
    is_at_least,
    percent_text,
    rate_text,
    sentence_text,
    target_text,
    time_text,
    under_text,
    verdict_text,
)

#: The gaps between requests, by kind of arrivals.
GAPS = {"constant": "equal", "poisson": "random (Poisson)", "gamma": "clustered (gamma)"}

#: A criterion met with less than this share of its limit to spare has no headroom worth the name.
HEADROOM = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """A few words that name the risk, and a sentence or two with the figure and what to do about it."""

    name: str
    text: str


def risks(report: Report, *, most: int = 3) -> tuple[Risk, ...]:
    """The gravest risks of relying on this report, at most `most`."""
    point = report.leader[1] if report.leader else None
    found = [
        *_answer_risks(report),
        *(_point_risks(point) if point else ()),
        *_device_risks(report),
        *_noise_risks(report),
        *_warning_risks(point),
        *_standing_risks(point),
    ]
    return tuple(found[:most])


def conditions(report: Report) -> tuple[str, ...]:
    """What has to be done before a GO holds: where something about the judged point or the answers is not proven."""
    if report.decision.outcome != "PASS" or report.leader is None:
        return ()
    point = report.leader[1]
    # Samples that are too few for some other percentile than the decided ones leave the decision as it is.
    heeded = (w for w in point.measurement.warnings if w.kind != "TooFewSamples")
    found = [f"Heed the warning {w.kind}: {sentence_text(w.text)}" for w in heeded]
    if report.live_parity is None and report.export_parity:
        found.append("Compare answers under concurrent load with the original model; this run did not.")
    if report.drift is not None and report.drift.warning is not None:
        found.append(f"Measure again: {sentence_text(report.drift.warning.text)}")
    return tuple(dict.fromkeys(found))


def _answer_risks(report: Report) -> Iterator[Risk]:
    """Wrong answers come before slow ones."""
    compared = [(f"The exported {p.artifact}", p.result) for p in report.export_parity]
    for what, result in compared:
        if not result.passed:
            yield Risk(name=f"{what} differs from the original", text=closed_text(result.reason))
    live = report.live_parity
    if live is None:
        text = "Answers under concurrent load were not compared with the original model in this run."
        yield Risk(name="Served answers are not proven", text=text)
    elif live.outcome != "PASS":
        name = "Served answers differ from the original" if live.outcome == "FAIL" else "Served answers are not proven"
        yield Risk(name=name, text=closed_text(live.reason))


def _point_risks(point: Point) -> Iterator[Risk]:
    failed = point.measurement.failed_requests
    if failed:
        kinds = ", ".join(f"{e.count:,} {e.kind}" for e in point.measurement.errors)
        yield Risk(name="Requests failed", text=f"{failed:,} requests failed at the judged load ({kinds}).")
    undecided = [v for v in point.verdicts if v.outcome == "UNDECIDED"]
    if undecided:
        targets = " and ".join(target_text(v.criterion) for v in undecided)
        weakest = min(v.effective_samples for v in undecided)
        text = f"{weakest:,.0f} effective samples do not settle {targets}. Measure longer."
        yield Risk(name="Too few independent samples", text=text)
    for verdict in point.verdicts:
        if verdict.outcome == "PASS" and _spare(verdict) < HEADROOM:
            text = f"{verdict_text(verdict)}: {percent_text(_spare(verdict))} to spare. A busier hour uses it up."
            yield Risk(name="Little headroom", text=text)


def _spare(verdict: Verdict) -> float:
    """The share of the limit that is left, of a goodput that of the misses it allows; all of a limit of zero."""
    limit, measured = verdict.criterion.limit, verdict.measured
    if measured is None or not limit:
        return 1.0
    if verdict.criterion.metric == "goodput":
        return 1 - (1 - measured) / (1 - limit)
    return measured / limit - 1 if is_at_least(verdict.criterion) else 1 - measured / limit


def _device_risks(report: Report) -> Iterator[Risk]:
    if report.device_mark:
        text = (
            f"All figures come from {report.environment.cpu}. The best settings and the speed on a GPU differ; measure "
            "there before you promise anything about it."
        )
        yield Risk(name="CPU figures", text=text)


def _noise_risks(report: Report) -> Iterator[Risk]:
    near = rivals_within_noise(report.trials)
    if near:
        names = ", ".join(near)
        text = f"Within {percent_text(NOISE)} of the best rate: {names}. The order may turn in another measurement."
        yield Risk(name="The choice is close", text=text)


def _warning_risks(point: Point | None) -> Iterator[Risk]:
    for warning in point.measurement.warnings if point else ():
        # Whether the samples suffice for what is asked is in each verdict; this one is about every p99.
        if warning.kind != "TooFewSamples":
            yield Risk(name=f"Warning: {warning.kind}", text=sentence_text(warning.text))


def _standing_risks(point: Point | None) -> Iterator[Risk]:
    yield Risk(name="Traffic in bursts", text=_burst_text(point))
    text = "One server was measured. A second replica, and what happens while one is away, were not tried."
    yield Risk(name="One server", text=text)
    text = "The load repeats a small set of sample requests. Other sizes or contents of requests may cost more."
    yield Risk(name="Sample requests", text=text)


def _burst_text(point: Point | None) -> str:
    if point is None or isinstance(point.load, Concurrency):
        return (
            "Each simulated client waits for its answer before it asks again. Real traffic does not wait: in bursts, "
            "queues and latency grow beyond these figures."
        )
    if isinstance(point.load, RequestRate):
        return (
            f"Requests came at one steady rate with {GAPS[point.load.arrival]} gaps. Real traffic swings more: in "
            "bursts above this rate, queues and latency grow beyond these figures."
        )
    return "Requests came on one given schedule. In bursts beyond it, queues and latency grow beyond these figures."


def not_shown(report: Report) -> tuple[str, ...]:
    """What a reader might take from this report and must not: the caller's statements, and what the values tell."""
    found = list(report.not_shown)
    if report.measurements:
        found.append(_beyond_text(report))
    windows_s = [m.window_s for m in report.measurements if m.window_s is not None]
    if windows_s:
        longest = max(windows_s)
        found.append(f"Endurance: no load was held for longer than {time_text(longest)}.")
    if report.accuracy is None and not any(p.result.task for p in report.export_parity):
        found.append("Accuracy on your task: without labelled samples, only agreement with the original is shown.")
    return tuple(found)


def _beyond_text(report: Report) -> str:
    offered = [m.offered_per_s for m in report.measurements if m.offered_per_s is not None]
    if not offered:
        return "Behaviour above the measured load: a closed loop slows down with the server, an open loop would not."
    return f"Behaviour above {rate_text(max(offered))} requests/s, the highest rate that was offered."


def judged_at(report: Report) -> str:
    """Which configuration and load the criteria on page one are about."""
    if report.leader is None:
        return "No point is valid, so no criterion could be judged."
    trial, point = report.leader
    where = f"configuration '{trial.candidate.name}' with {under_text(point.load)}"
    return f"Judged for {where}." if point.outcome == "PASS" else f"Judged for the nearest point: {where}."
