"""How much B differs from A at one load: each figure's change with its 95 % interval, and its words. Pure.

In: the measurements of two sides at one load, in rounds, or one measurement each with its records. Out: Differences, as
the change from A to B relative to A: +0.04 means that B's figure is 4 % larger.

Rounds (each measures A and B one after the other): the logarithm of B / A in each round, its mean, and Student's t for
as many rounds; what drifts from round to round cancels, and nothing is assumed of the requests within one.
Records of one window each: a block bootstrap of each side on its own, its blocks as long as its requests depend on each
other, and Student's t on the number of blocks for the interval of the difference of logarithms.
tests/load/test_difference.py simulates both on queues that do not differ: at most 5 % false alarms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from toolkit.load.measurement import Measurement
from toolkit.load.metric_table import metric_named
from toolkit.load.metrics import completions_s, latencies_s
from toolkit.load.request_records import Records
from toolkit.load.statistics import (
    BLOCK_TAUS,
    Series,
    Statistic,
    autocorrelation_time,
    block_bootstrap,
    dependence,
    mean_of_rows,
    quantile,
    quantile_of_rows,
)

Method = Literal["rounds", "bootstrap", ""]

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
THROUGHPUT = "throughput"
#: What is compared, and the name of each in the table of metrics.
METRICS = {name: f"latency.{name}" for name in (*QUANTILES, "mean")} | {THROUGHPUT: "throughput.mean"}
#: Fewer rounds than that have no interval worth the name: Student's t of one degree of freedom is 12.7.
MIN_ROUNDS = 3
#: A quantile is compared when that many effective samples lie beyond it on each side.
MIN_BEYOND = 5
MIN_BLOCKS = 10
#: Completions are counted in that many parts of the window.
THROUGHPUT_PARTS = 200
RESAMPLES = 1000
#: Blocks of a few tau still resemble each other, which makes the bootstrap's interval too short: equal queues seemed to
#: differ in 8 % of simulated pairs without this factor, in at most 4 % with it.
WIDENED = 1.3
#: Student's t, two-sided 95 %, for 1, 2, ... degrees of freedom; 1.96 beyond (Abramowitz and Stegun, table 26.10).
T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure of A and of B. `change` is B / A - 1; `low` and `high` bound its 95 % interval.

    They are None where there is no interval: `why` says what it would take. `rounds` is how many pairs were measured,
    0 where one window of each was compared.
    """

    metric: str
    a: float
    b: float
    change: float
    low: float | None
    high: float | None
    method: Method
    rounds: int = 0
    why: str = ""

    @property
    def is_shown(self) -> bool:
        """Whether the interval lies on one side of no difference."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


# --- rounds -----------------------------------------------------------------------------------------------------------


def differences_of_rounds(rounds: Sequence[tuple[Measurement, Measurement]]) -> tuple[Difference, ...]:
    """Every metric that all rounds have, of pairs (A, B) that were measured one after the other."""
    found = []
    for metric in METRICS:
        pairs = [(_value(a, metric), _value(b, metric)) for a, b in rounds]
        known = [(a, b) for a, b in pairs if a is not None and b is not None and a > 0 and b > 0]
        if known and len(known) == len(pairs):
            found.append(difference_of_pairs(metric, [a for a, _ in known], [b for _, b in known]))
    return tuple(found)


def difference_of_pairs(metric: str, a: Sequence[float], b: Sequence[float]) -> Difference:
    """One figure of A and B in each round, all above 0; `a` and `b` are the geometric means over the rounds."""
    ratios = np.log(np.asarray(b, dtype=np.float64) / np.asarray(a, dtype=np.float64))
    middle = float(ratios.mean())
    low, high, why = None, None, ""
    if len(ratios) >= MIN_ROUNDS:
        half = student_t(len(ratios) - 1) * float(ratios.std(ddof=1)) / math.sqrt(len(ratios))
        low, high = math.expm1(middle - half), math.expm1(middle + half)
    else:
        why = f"{len(ratios)} round{'' if len(ratios) == 1 else 's'} can be used; an interval needs {MIN_ROUNDS}"
    return Difference(
        metric=metric,
        a=float(np.exp(np.log(a).mean())),
        b=float(np.exp(np.log(b).mean())),
        change=math.expm1(middle),
        low=low,
        high=high,
        method="rounds",
        rounds=len(ratios),
        why=why,
    )


def student_t(freedom: int) -> float:
    """Student's t for a two-sided 95 % interval."""
    return T_95[freedom - 1] if freedom <= len(T_95) else 1.96


def _value(measurement: Measurement, metric: str) -> float | None:
    return metric_named(METRICS[metric]).value(measurement)


# --- one window each --------------------------------------------------------------------------------------------------


def differences_of_records(
    a: Measurement, a_records: Records | None, b: Measurement, b_records: Records | None
) -> tuple[Difference, ...]:
    """Every metric that both measurements have; with intervals where both have records."""
    found = []
    for metric in METRICS:
        values = _value(a, metric), _value(b, metric)
        if values[0] is None or values[1] is None or min(values[0], values[1]) <= 0:
            continue
        if a_records is None or b_records is None:
            found.append(_without_interval(metric, values[0], values[1], "a result holds no single requests"))
        else:
            found.append(_bootstrapped(metric, values[0], values[1], a_records, b_records))
    return tuple(found)


def _without_interval(metric: str, a: float, b: float, why: str) -> Difference:
    return Difference(metric=metric, a=a, b=b, change=b / a - 1, low=None, high=None, method="", why=why)


def _bootstrapped(metric: str, a: float, b: float, a_records: Records, b_records: Records) -> Difference:
    spreads = spread_of_records(a_records, metric, seed=1), spread_of_records(b_records, metric, seed=2)
    if spreads[0] is None or spreads[1] is None:
        return _without_interval(metric, a, b, "there are too few independent requests; measure for longer")
    (a_error, a_blocks), (b_error, b_blocks) = spreads[0], spreads[1]
    middle = math.log(b / a)
    half = WIDENED * student_t(min(a_blocks, b_blocks) - 1) * math.hypot(a_error, b_error)
    return Difference(
        metric=metric,
        a=a,
        b=b,
        change=b / a - 1,
        low=math.expm1(middle - half),
        high=math.expm1(middle + half),
        method="bootstrap",
    )


def spread_of_records(records: Records, metric: str, *, seed: int) -> tuple[float, int] | None:
    """The standard error of a figure's logarithm by block bootstrap, and the number of blocks; None of too few."""
    series, statistic, tau = _series(records, metric)
    blocks = int(len(series) / (BLOCK_TAUS * tau))
    if blocks < MIN_BLOCKS or not _is_dense(metric, len(series) / tau):
        return None
    values = block_bootstrap(series, statistic, tau=tau, resamples=RESAMPLES, seed=seed)
    return (float(np.log(values).std(ddof=1)), blocks) if (values > 0).all() else None


def _is_dense(metric: str, effective: float) -> bool:
    q = QUANTILES.get(metric)
    return q is None or effective * min(q, 1 - q) >= MIN_BEYOND


def _series(records: Records, metric: str) -> tuple[Series, Statistic, float]:
    """What is resampled, what is computed of it, and how long its neighbours resemble each other."""
    if metric == THROUGHPUT:
        window_s = (records.window_end_ns - records.window_start_ns) / 1e9
        done_s = completions_s(records)
        parts = max(1, min(THROUGHPUT_PARTS, len(done_s) // 10))
        counts = np.histogram(done_s, bins=parts, range=(0.0, window_s))[0].astype(np.float64)
        return counts, mean_of_rows, dependence(counts)
    times_s = latencies_s(records, records.in_window & records.succeeded)
    if metric in QUANTILES and len(times_s):
        above = times_s > quantile(np.sort(times_s), QUANTILES[metric])
        return times_s, quantile_of_rows(QUANTILES[metric]), max(dependence(times_s), autocorrelation_time(above))
    return times_s, mean_of_rows, dependence(times_s)


# --- words ------------------------------------------------------------------------------------------------------------


def sentence(difference: Difference, a: str = "A", b: str = "B") -> str:
    """A difference in words: "B is 4.1 % [1.9, 6.3] slower at p99"."""
    metric, change = difference.metric, difference.change
    at = "in throughput" if metric == THROUGHPUT else "in the mean" if metric == "mean" else f"at {metric}"
    if difference.low is None or difference.high is None:
        return f"{b} differs from {a} by {change:+.1%} {at}, without an interval: {difference.why}"
    low, high = difference.low, difference.high
    if not difference.is_shown:
        return (
            f"no difference shown {at}: {_percent(change)} % [{_percent(low)}, {_percent(high)}]; "
            f"one of more than {100 * max(abs(low), abs(high)):.1f} % is ruled out"
        )
    worse, better = ("higher", "lower") if metric == THROUGHPUT else ("slower", "faster")
    word = worse if change > 0 else better
    ends = sorted((abs(low), abs(high)))
    return f"{b} is {100 * abs(change):.1f} % [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}] {word} {at}"


def _percent(share: float) -> str:
    return f"{100 * share:+.1f}"
