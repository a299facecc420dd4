"""PASS, FAIL or UNDECIDED for each criterion, on effective samples. Pure: records and limits in, verdicts out.

Percentiles, error rates and goodput allow a share of misses: early_stopping.py decides it. A failed request and a
time-out are misses. Means and throughput: one-sided bounds of the mean must lie on one side of the limit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from toolkit.load.duration import seconds_text
from toolkit.load.early_stopping import CONFIDENCE, decide, discounted
from toolkit.load.goodput import lateness
from toolkit.load.measurement import Measurement
from toolkit.load.metrics import completions_s
from toolkit.load.request_metrics import Seconds, has_times, window_times_s
from toolkit.load.request_records import Records
from toolkit.load.slo import TIMES, Criterion, Slo
from toolkit.load.statistics import (
    TAU_BLOCKS,
    Mean,
    dependence,
    initial_positive_sequence,
    mean_of_blocks,
    quantile,
    quantile_interval,
    student_t,
)
from toolkit.load.verdict_words import share_reason, too_few

Outcome = Literal["PASS", "FAIL", "UNDECIDED", "INVALID"]

#: The error probability of means and of throughput, on each side and over all looks; CONFIDENCE says what is left.
MEAN_LEVEL = 0.001
#: With fewer effective samples no mean is decided, and with fewer than the second none passes: a quiet window hides the
#: slow requests that a mean consists of. (With 50 for both, up to 11 % of windows passed with the mean at the limit.)
MIN_EFFECTIVE_SAMPLES, MIN_TO_PASS = 50, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One criterion judged. `effective_samples` = samples / integrated autocorrelation time. Times in seconds.

    `low` and `high` bound the 95 % interval of `measured`, None where unbounded. `confidence` is that of the outcome,
    0 where nothing was decided.
    """

    criterion: Criterion
    outcome: Outcome
    measured: float | None
    low: float | None
    high: float | None
    samples: int
    effective_samples: float
    over_limit: int
    confidence: float
    reason: str


def judge(slo: Slo, measurement: Measurement, records: Records, *, looks: int = 1) -> tuple[Verdict, ...]:
    """A verdict for each criterion of `slo`, on the requests of the window; INVALID when the measurement is.

    Whoever looks again at a longer window until something is decided says at how many `looks` in all, beforehand: the
    error probability is shared equally between them (Bonferroni), since windows that grow resemble each other by an
    amount that is not known.
    """
    verdicts = (_judge(criterion, records, looks) for criterion in slo.criteria)
    if measurement.is_valid:
        return tuple(verdicts)
    cause = "the point was interrupted" if measurement.interrupted else _first_cause(measurement)
    return tuple(_invalid(verdict, cause) for verdict in verdicts)


def overall(verdicts: Sequence[Verdict], measurement: Measurement) -> Outcome:
    """INVALID if the measurement is, else FAIL if any criterion fails, else UNDECIDED if any is, else PASS."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if not measurement.is_valid or "INVALID" in outcomes:
        return "INVALID"
    return "FAIL" if "FAIL" in outcomes else "UNDECIDED" if "UNDECIDED" in outcomes else "PASS"


def _first_cause(measurement: Measurement) -> str:
    return next(warning.text for warning in measurement.warnings if warning.invalid)


def _invalid(verdict: Verdict, cause: str) -> Verdict:
    reason = f"the measurement is invalid: {cause}"
    return dataclasses.replace(verdict, outcome="INVALID", confidence=0.0, reason=reason)


def _judge(criterion: Criterion, records: Records, looks: int) -> Verdict:
    named = [bound.metric for bound in criterion.within] or [criterion.metric]
    missing = [name for name in named if name in TIMES and not has_times(name, records)]
    if not records.in_window.any():
        return _undecided(criterion, too_few(0, 0.0))
    if missing:
        return _undecided(criterion, f"the answers were not streamed, so they have no {missing[0]}; ask for a stream")
    if criterion.metric == "throughput":
        return _judge_throughput(criterion, records, looks)
    if criterion.metric == "goodput":
        late = lateness(criterion.within, records)
        return _kept_share(_share_verdict(criterion, late, 1.0, 1.0 - criterion.limit, looks))
    times_s = window_times_s(criterion.metric if criterion.metric in TIMES else "latency", records)
    if criterion.metric == "errors":
        return _share_verdict(criterion, times_s, None, criterion.limit, looks)
    if not len(times_s):
        return _undecided(criterion, too_few(0, 0.0))
    if criterion.quantile is None:
        return _judge_mean(criterion, times_s, looks)
    verdict = _share_verdict(criterion, times_s, criterion.limit, 1.0 - criterion.quantile, looks)
    return _with_quantile(verdict, criterion.quantile, times_s)


def _share_verdict(criterion: Criterion, values: Seconds, limit: float | None, allowed: float, looks: int) -> Verdict:
    """Of misses: values above the limit, or failures alone where there is none."""
    missed = ~np.isfinite(values) if limit is None else values > limit
    decision = decide(values, missed, allowed, limit=limit, looks=looks)
    share = decision.misses / decision.samples
    low, high = _share_interval(share, decision.counted)
    return Verdict(
        criterion=criterion,
        outcome=decision.outcome,
        measured=share,
        low=low,
        high=high,
        samples=decision.samples,
        effective_samples=decision.samples / decision.tau,
        over_limit=decision.misses,
        confidence=0.0 if decision.outcome == "UNDECIDED" else CONFIDENCE,
        reason=share_reason(criterion, decision, allowed, looks),
    )


def _share_interval(share: float, effective: float) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's score (1927), which keeps its meaning at a share of 0."""
    z, effective = 1.96, max(effective, 1e-9)
    centre = (share + z * z / (2 * effective)) / (1 + z * z / effective)
    half = z / (1 + z * z / effective) * math.sqrt(share * (1 - share) / effective + (z / (2 * effective)) ** 2)
    return max(0.0, centre - half), min(1.0, centre + half)


def _kept_share(verdict: Verdict) -> Verdict:
    """A verdict on misses, told as the share that kept the limits."""
    low, high, missed = (None if v is None else 1.0 - v for v in (verdict.high, verdict.low, verdict.measured))
    return dataclasses.replace(verdict, measured=missed, low=low, high=high)


def _with_quantile(verdict: Verdict, q: float, times_s: Seconds) -> Verdict:
    """The verdict with the percentile instead of the share; a failed request took for ever."""
    ordered = np.sort(times_s)
    ends = quantile_interval(ordered, q, verdict.samples / discounted(verdict.effective_samples))
    measured, low, high = (None if v is None or math.isinf(v) else v for v in (quantile(ordered, q), *ends))
    return dataclasses.replace(verdict, measured=measured, low=low, high=high)


def _judge_mean(criterion: Criterion, times_s: Seconds, looks: int) -> Verdict:
    """The mean time; a failed request counts with the limit, or with the longest that succeeded where that is more."""
    finite = np.isfinite(times_s)
    counted_s = np.where(finite, times_s, np.max(times_s[finite], initial=criterion.limit))
    samples, tau = len(counted_s), dependence(counted_s)
    mean = mean_of_blocks(counted_s, samples / discounted(samples / tau))
    if mean is None or samples / tau < MIN_EFFECTIVE_SAMPLES:
        return _undecided(criterion, too_few(samples, samples / tau), samples, samples / tau)
    over = int((counted_s > criterion.limit).sum())
    verdict = _mean_verdict(criterion, mean, samples, samples / tau, over, seconds_text, looks)
    if verdict.outcome != "PASS" or samples / tau >= MIN_TO_PASS:
        return verdict
    reason = f"{verdict.reason}; but {too_few(samples, samples / tau)}"
    return dataclasses.replace(verdict, outcome="UNDECIDED", confidence=0.0, reason=reason)


def _judge_throughput(criterion: Criterion, records: Records, looks: int) -> Verdict:
    """Completions per second in equal parts of the window, whose dependence widens the bounds."""
    window_s = (records.window_end_ns - records.window_start_ns) / 1e9
    done_s = completions_s(records)
    counts, _ = np.histogram(done_s, bins=TAU_BLOCKS, range=(0.0, window_s))
    if len(done_s) < 2 * TAU_BLOCKS:
        return _undecided(criterion, too_few(len(done_s), 0.0), len(done_s))
    effective = TAU_BLOCKS / initial_positive_sequence(counts)
    error = float(counts.std(ddof=1)) / math.sqrt(effective) * (TAU_BLOCKS / window_s)
    mean = Mean(value=len(done_s) / window_s, error=error, freedom=max(4.0, effective - 1))
    return _mean_verdict(criterion, mean, len(done_s), effective, 0, lambda rate: f"{rate:.4g}/s", looks)


def _mean_verdict(
    criterion: Criterion,
    mean: Mean,
    samples: int,
    effective: float,
    over: int,
    text: Callable[[float], str],
    looks: int,
) -> Verdict:
    bound = student_t(MEAN_LEVEL / looks, mean.freedom) * mean.error
    spread = student_t(0.025, mean.freedom) * mean.error
    above = mean.value - bound >= criterion.limit
    below = mean.value + bound <= criterion.limit
    passed, failed = (above, below) if criterion.metric == "throughput" else (below, above)
    outcome: Outcome = "PASS" if passed else "FAIL" if failed else "UNDECIDED"
    side = "on one side of" if outcome != "UNDECIDED" else "on both sides of"
    bounds = f"{text(mean.value - bound)} and {text(mean.value + bound)}"
    level = f"{100 * (1 - MEAN_LEVEL / looks):.4g} %"
    return Verdict(
        criterion=criterion,
        outcome=outcome,
        measured=mean.value,
        low=mean.value - spread,
        high=mean.value + spread,
        samples=samples,
        effective_samples=effective,
        over_limit=over,
        confidence=0.0 if outcome == "UNDECIDED" else CONFIDENCE,
        reason=f"the mean is {text(mean.value)}; its {level} bounds, {bounds}, lie {side} {text(criterion.limit)}",
    )


def _undecided(criterion: Criterion, reason: str, samples: int = 0, effective: float = 0.0) -> Verdict:
    return Verdict(
        criterion=criterion,
        outcome="UNDECIDED",
        measured=None,
        low=None,
        high=None,
        samples=samples,
        effective_samples=effective,
        over_limit=0,
        confidence=0.0,
        reason=reason,
    )
