"""Candidates, what came of them, and the decision: which configuration, at which load, and why not the others.

In: an SLO and the trials with their verdicts. Out: a Decision in plain words. Pure: nothing is measured or judged here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from toolkit.load.measurement import Measurement
from toolkit.load.pattern import Load
from toolkit.load.slo import Slo
from toolkit.load.verdict import Outcome, Verdict
from toolkit.tune.words import (
    candidate_text,
    instance_count,
    is_at_least,
    percent_text,
    rate_text,
    target_text,
    under_text,
    verdict_text,
)

#: Throughputs closer than this are not told apart: single windows on a machine that client and server share differ by
#: as much when they are repeated.
NOISE = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A server configuration to measure: per repository entry, a partial ModelConfig in Triton's own field names."""

    name: str
    config: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One load point of a trial with its verdicts."""

    measurement: Measurement
    verdicts: tuple[Verdict, ...]
    outcome: Outcome

    @property
    def load(self) -> Load:
        """The load that was driven."""
        return self.measurement.load


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of a candidate."""

    candidate: Candidate
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A candidate that was not chosen, and why."""

    candidate: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to the customer's question. `candidate` and `load` are None when nothing was chosen."""

    outcome: Outcome
    sentence: str
    candidate: str | None
    load: Load | None
    throughput_per_s: float | None
    rejected: tuple[Rejection, ...]


def decide(slo: Slo, trials: tuple[Trial, ...], *, device: str = "") -> Decision:
    """Choose the candidate whose best passing point has the highest throughput, and say it in one sentence.

    Equal throughputs: the lower tail latency, then fewer instances, then the order of `trials`. Without a passing
    point the outcome is UNDECIDED when a valid point is, else FAIL; INVALID when no point is valid.
    `device` ("CPU", "GPU") is named in the sentence.
    """
    leaders = ranked(trials)
    if not leaders:
        rejected = tuple(Rejection(candidate=t.candidate.name, reason=_why_invalid(t)) for t in trials)
        return _nothing_chosen("INVALID", _invalid_sentence(rejected), rejected)
    trial, best = leaders[0]
    others = [t for t in trials if t is not trial]
    if best.outcome != "PASS":
        rejected = tuple(Rejection(candidate=t.candidate.name, reason=_why_rejected(t, None)) for t in trials)
        return _nothing_chosen(best.outcome, _unmet_sentence(slo, trial, best, device), rejected)
    return Decision(
        outcome="PASS",
        sentence=_go_sentence(trial, best, device) + _noise_sentence(trials),
        candidate=trial.candidate.name,
        load=best.load,
        throughput_per_s=best.measurement.throughput_per_s,
        rejected=tuple(Rejection(candidate=t.candidate.name, reason=_why_rejected(t, best)) for t in others),
    )


def ranked(trials: tuple[Trial, ...]) -> tuple[tuple[Trial, Point], ...]:
    """Every trial that has a valid point, with the point that speaks for it; the best first."""
    standing = [(trial, point) for trial in trials if (point := best_point(trial)) is not None]
    return tuple(sorted(standing, key=lambda s: (*_rank(s[1]), instance_count(s[0].candidate.config))))


def best_point(trial: Trial) -> Point | None:
    """The point that speaks for a trial: its fastest PASS, else the UNDECIDED and then the FAIL nearest to the SLO."""
    return min((p for p in trial.points if p.outcome != "INVALID"), key=_rank, default=None)


def rivals_within_noise(trials: tuple[Trial, ...]) -> tuple[str, ...]:
    """The passing candidates whose throughput cannot be told from the best one's."""
    passing = [(trial.candidate.name, point) for trial, point in ranked(trials) if point.outcome == "PASS"]
    return tuple(name for name, point in passing[1:] if _is_near(point, passing[0][1]))


def _is_near(point: Point, best: Point) -> bool:
    return point.measurement.throughput_per_s >= (1 - NOISE) * best.measurement.throughput_per_s


def _rank(point: Point) -> tuple[float, float, float]:
    order = ("PASS", "UNDECIDED", "FAIL").index(point.outcome)
    by = -point.measurement.throughput_per_s if point.outcome == "PASS" else _excess(point)
    return order, by, _tail_s(point)


def _tail_s(point: Point) -> float:
    """The highest percentile that was computed."""
    quantiles = point.measurement.latency.quantiles
    return max(quantiles, key=lambda quantile: quantile.q).value_s if quantiles else math.inf


def _excess(point: Point) -> float:
    """How far the worst criterion is from its limit, as a ratio; above 1 it is missed."""
    return max((_ratio(v) for v in point.verdicts), default=math.inf)


def _ratio(verdict: Verdict) -> float:
    measured, limit = verdict.measured, verdict.criterion.limit
    if not measured or not limit:
        return 0.0 if measured == 0 and not is_at_least(verdict.criterion) else math.inf
    return limit / measured if is_at_least(verdict.criterion) else measured / limit


# --- the words --------------------------------------------------------------------------------------------------------


def _nothing_chosen(outcome: Outcome, sentence: str, rejected: tuple[Rejection, ...]) -> Decision:
    return Decision(
        outcome=outcome, sentence=sentence, candidate=None, load=None, throughput_per_s=None, rejected=rejected
    )


def _figures(point: Point) -> str:
    return " and ".join(verdict_text(v) for v in point.verdicts) or "no criterion set"


def _rate(point: Point) -> str:
    return f"{rate_text(point.measurement.throughput_per_s)} requests/s"


def _on(device: str) -> str:
    return f" on this {device}" if device else ""


def _go_sentence(trial: Trial, best: Point, device: str) -> str:
    name = candidate_text(trial.candidate)
    return f"GO: {name} serves {_rate(best)} at {_figures(best)} with {under_text(best.load)}{_on(device)}."


def _noise_sentence(trials: tuple[Trial, ...]) -> str:
    near = rivals_within_noise(trials)
    if not near:
        return ""
    names = " and ".join(f"'{name}'" for name in near)
    return f" {names} also {'pass' if len(near) > 1 else 'passes'}, at a rate that is the same within the noise."


def _unmet_sentence(slo: Slo, trial: Trial, best: Point, device: str) -> str:
    target = " and ".join(target_text(c) for c in slo.criteria)
    where = f"{candidate_text(trial.candidate)} with {under_text(best.load)}"
    nearest = f"the nearest is {where}: {_figures(best)} at {_rate(best)}"
    if best.outcome == "FAIL":
        return f"NO-GO: no configuration meets {target}{_on(device)}; {nearest}."
    question = f"whether any configuration meets {target}{_on(device)}"
    return f"UNDECIDED: the measurements do not settle {question}; {nearest}, {_evidence(best)}. Measure longer."


def _evidence(point: Point) -> str:
    """How little stands behind an undecided point, by its weakest criterion."""
    effective = min(v.effective_samples for v in point.verdicts if v.outcome == "UNDECIDED")
    return f"on {effective:,.0f} effective samples"


def _invalid_sentence(rejected: tuple[Rejection, ...]) -> str:
    if not rejected:
        return "UNDECIDED: nothing was measured, so nothing can be judged."
    return (
        f"UNDECIDED: no measurement is valid, so nothing can be judged. '{rejected[0].candidate}': {rejected[0].reason}"
    )


def _why_rejected(trial: Trial, chosen: Point | None) -> str:
    point = best_point(trial)
    if point is None:
        return _why_invalid(trial)
    if point.outcome == "PASS" and chosen is not None:
        return _why_slower(point, chosen)
    where = f"{_figures(point)} at {_rate(point)} with {under_text(point.load)}"
    if point.outcome == "FAIL":
        return f"misses the SLO at every load; the nearest: {where}"
    return f"undecided; the nearest: {where}, {_evidence(point)}"


def _why_slower(point: Point, chosen: Point) -> str:
    ratio = point.measurement.throughput_per_s / chosen.measurement.throughput_per_s
    best = f"{_rate(point)} with {under_text(point.load)}, {_figures(point)}"
    less = f"{percent_text(1 - ratio)} less throughput" if ratio < 0.995 else "the same throughput"
    if _is_near(point, chosen):
        return f"meets the SLO with {less}, which one window does not tell apart ({percent_text(NOISE)}): {best}"
    return f"meets the SLO with {less}: {best}"


def _why_invalid(trial: Trial) -> str:
    if not trial.points:
        return "was not measured"
    if any(p.measurement.interrupted for p in trial.points):
        return "the measurement was interrupted"
    texts = dict.fromkeys(w.text for p in trial.points for w in p.measurement.warnings if w.invalid)
    return "no valid measurement: " + ("; ".join(texts) or "the figures could not be judged")
