"""PASS, FAIL or UNDECIDED for each criterion, on effective samples. Pure: records and limits in, verdicts out.

Percentiles and error rates: with n requests of which t missed, PASS when P(Binomial(n, allowed) <= t) <= 1 % (the
early stopping of MLPerf LoadGen, level 0.99, no tolerance), FAIL when P(Binomial(n, allowed) >= t) <= 1 %, else
UNDECIDED. A failed request and a time-out are misses. Requests in a queue resemble their neighbours, so both counts are
divided by the integrated autocorrelation time first: on plain counts, a true 2 % of misses on a queue at 80 % load
passes as p99 in every fifth run of 3 000 requests, here in none (tests/load/test_verdict.py simulates it).
Means and throughput: the one-sided 99.9 % bound by batch means must lie on one side of the limit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.load.duration import seconds_text
from toolkit.load.measurement import Measurement
from toolkit.load.metrics import Seconds, completions_s
from toolkit.load.request_records import Records
from toolkit.load.slo import Criterion, Slo
from toolkit.load.statistics import (
    BLOCKS,
    T_95_TWO_SIDED,
    T_999_ONE_SIDED,
    Mean,
    autocorrelation_time,
    binomial_at_most,
    dependence,
    mean_of_blocks,
    quantile,
    quantile_interval,
)

Outcome = Literal["PASS", "FAIL", "UNDECIDED", "INVALID"]

#: The level of the rule on independent samples, as LoadGen has it.
LEVEL = 0.99
#: What a PASS or a FAIL is really worth, one look each: on M/D/1 at 50, 80 and 95 % load, 1 000 to 20 000 requests,
#: with the true figure exactly at the limit, at most 1 % of 400 runs were wrong for a p99, 3.5 % for a p90 and 4 % of
#: 500 for a mean. With twice the allowed share one of 400 passed in the worst case.
CONFIDENCE = 0.95
#: tau comes out too small when the window is not much longer than it: with fewer effective samples nothing passes, and
#: no mean is decided (at 95 % load and 30 effective samples, 8 % of 500 means passed wrongly).
MIN_EFFECTIVE_SAMPLES = 50


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


def judge(slo: Slo, measurement: Measurement, records: Records) -> tuple[Verdict, ...]:
    """A verdict for each criterion of `slo`, on the requests of the window; INVALID when the measurement is."""
    verdicts = (_judge(criterion, records) for criterion in slo.criteria)
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


def _judge(criterion: Criterion, records: Records) -> Verdict:
    counted = records.in_window
    failed = ~records.succeeded[counted]
    from_ns = records.sent_ns if criterion.metric == "service" else records.intended_ns
    times_s = (records.done_ns - from_ns)[counted] / 1e9
    if not len(times_s):
        return _undecided_without_samples(criterion)
    if criterion.metric == "throughput":
        return _judge_throughput(criterion, records)
    if criterion.metric == "errors":
        return _judge_share(criterion, criterion.limit, failed, times_s)
    if criterion.quantile is None:
        return _judge_mean(criterion, times_s, failed)
    times_s[failed] = np.maximum(times_s[failed], criterion.limit)
    missed = failed | (times_s > criterion.limit)
    verdict = _judge_share(criterion, 1.0 - criterion.quantile, missed, times_s)
    return _with_quantile(verdict, criterion.quantile, np.where(failed, np.inf, times_s))


def _judge_share(criterion: Criterion, allowed: float, missed: NDArray[np.bool_], times_s: Seconds) -> Verdict:
    """The early-stopping rule and its mirror image on effective counts, rounded against the decision."""
    samples, misses = len(missed), int(missed.sum())
    tau = max(dependence(times_s), autocorrelation_time(missed))
    enough = samples / tau >= MIN_EFFECTIVE_SAMPLES
    passed = enough and binomial_at_most(math.ceil(misses / tau), math.floor(samples / tau), allowed) <= 1 - LEVEL
    too_many = 1 - binomial_at_most(math.floor(misses / tau) - 1, math.ceil(samples / tau), allowed)
    outcome: Outcome = "PASS" if passed else "FAIL" if too_many <= 1 - LEVEL else "UNDECIDED"
    share = misses / samples
    low, high = _share_interval(share, samples / tau)
    return Verdict(
        criterion=criterion,
        outcome=outcome,
        measured=share,
        low=low,
        high=high,
        samples=samples,
        effective_samples=samples / tau,
        over_limit=misses,
        confidence=0.0 if outcome == "UNDECIDED" else CONFIDENCE,
        reason=_share_reason(criterion, outcome, allowed, samples, misses, tau),
    )


def _share_reason(criterion: Criterion, outcome: Outcome, allowed: float, samples: int, misses: int, tau: float) -> str:
    over = "failed" if criterion.metric == "errors" else f"took more than {seconds_text(criterion.limit)} or failed"
    counts = f"{misses} of {samples} requests {over} ({100 * misses / samples:.3g} %, {100 * allowed:.3g} % allowed)"
    worth = f"they count as {samples / tau:.0f} independent ones"
    if outcome != "UNDECIDED":
        relation = "fewer" if outcome == "PASS" else "more"
        return f"{counts}; {worth}, enough to be {CONFIDENCE:.0%} sure that {relation} than allowed do"
    factor = _times_longer(misses / samples, samples / tau, allowed)
    remedy = f"about {factor:.0f} times as many would decide" if factor else "the share is too near the limit to decide"
    return f"{counts}; {worth}, too few to be {CONFIDENCE:.0%} sure either way; {remedy}"


def _times_longer(share: float, effective: float, allowed: float) -> float | None:
    """How many times as many effective samples would decide, were the share to stay; None beyond a thousand."""
    factor = max(1.0, MIN_EFFECTIVE_SAMPLES / effective)
    while factor < 1000:
        factor *= 1.25
        samples = math.floor(effective * factor)
        at_most = binomial_at_most(math.ceil(share * samples), samples, allowed)
        fewer = binomial_at_most(math.floor(share * samples) - 1, samples, allowed)
        if at_most <= 1 - LEVEL or 1 - fewer <= 1 - LEVEL:
            return max(2.0, factor)
    return None


def _share_interval(share: float, effective: float) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's score (1927), which keeps its meaning at a share of 0."""
    z = 1.96
    centre = (share + z * z / (2 * effective)) / (1 + z * z / effective)
    half = z / (1 + z * z / effective) * math.sqrt(share * (1 - share) / effective + (z / (2 * effective)) ** 2)
    return max(0.0, centre - half), min(1.0, centre + half)


def _with_quantile(verdict: Verdict, q: float, times_s: Seconds) -> Verdict:
    """The verdict with the percentile instead of the share; a failed request took for ever."""
    ordered = np.sort(times_s)
    ends = quantile_interval(ordered, q, verdict.samples / verdict.effective_samples)
    measured, low, high = (None if v is None or math.isinf(v) else v for v in (quantile(ordered, q), *ends))
    return dataclasses.replace(verdict, measured=measured, low=low, high=high)


def _judge_mean(criterion: Criterion, times_s: Seconds, failed: NDArray[np.bool_]) -> Verdict:
    """The mean time; a failed request counts with the limit at least."""
    counted_s = np.where(failed, np.maximum(times_s, criterion.limit), times_s)
    tau = dependence(counted_s)
    mean = mean_of_blocks(counted_s, tau) if len(counted_s) / tau >= MIN_EFFECTIVE_SAMPLES else None
    over = int((counted_s > criterion.limit).sum())
    if mean is None:
        return _undecided_without_samples(criterion, len(counted_s), len(counted_s) / tau)
    return _mean_verdict(criterion, mean, len(counted_s), len(counted_s) / tau, over, seconds_text)


def _judge_throughput(criterion: Criterion, records: Records) -> Verdict:
    """Completions per second in BLOCKS equal parts of the window."""
    window_s = (records.window_end_ns - records.window_start_ns) / 1e9
    done_s = completions_s(records)
    counts, _ = np.histogram(done_s, bins=BLOCKS, range=(0.0, window_s))
    rates = counts * (BLOCKS / window_s)
    mean = Mean(value=float(rates.mean()), error=float(rates.std(ddof=1)) / math.sqrt(BLOCKS))
    if len(done_s) < 2 * BLOCKS:
        return _undecided_without_samples(criterion, len(done_s), 0.0)
    return _mean_verdict(criterion, mean, len(done_s), float(BLOCKS), 0, lambda rate: f"{rate:.4g}/s")


def _mean_verdict(
    criterion: Criterion,
    mean: Mean,
    samples: int,
    effective: float,
    over: int,
    text: Callable[[float], str],
) -> Verdict:
    bound, spread = T_999_ONE_SIDED * mean.error, T_95_TWO_SIDED * mean.error
    above = mean.value - bound >= criterion.limit
    below = mean.value + bound <= criterion.limit
    passed, failed = (above, below) if criterion.metric == "throughput" else (below, above)
    outcome: Outcome = "PASS" if passed else "FAIL" if failed else "UNDECIDED"
    side = "on one side of" if outcome != "UNDECIDED" else "on both sides of"
    bounds = f"{text(mean.value - bound)} and {text(mean.value + bound)}"
    reason = (
        f"the mean is {text(mean.value)}; its 99.9 % bounds, {bounds}, lie {side} the limit {text(criterion.limit)}"
    )
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
        reason=reason,
    )


def _undecided_without_samples(criterion: Criterion, samples: int = 0, effective: float = 0.0) -> Verdict:
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
        reason=f"{samples} requests count as {effective:.0f} independent ones, too few to decide; measure for longer",
    )
