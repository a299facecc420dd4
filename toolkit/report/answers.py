"""What measured trials answer to a question that somebody made a prediction about. Pure: trials in, answers out."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.load.pattern import load_text
from toolkit.load.slo import Slo
from toolkit.report.descriptions import charted_percentile, charted_rate, percentile, percentile_name
from toolkit.report.front import knee
from toolkit.tune.decision import Trial, ranked, rivals_within_noise
from toolkit.tune.words import percent_text, rate_text, time_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`right` are the predictions that the measurement bears out, none where it settles nothing; `said` says it."""

    right: tuple[str, ...]
    said: str


def best_configuration(trials: tuple[Trial, ...]) -> Answer:
    """The configuration with the highest rate within the SLO; those within the noise of it are as right."""
    leaders = ranked(trials)
    if not leaders:
        return Answer(right=(), said="no measurement is valid")
    trial, point = leaders[0]
    rate = rate_text(point.measurement.throughput_per_s)
    near = rivals_within_noise(trials) if point.outcome == "PASS" else ()
    said = f"{trial.candidate.name} serves {rate} requests/s with {load_text(point.load)}"
    if near:
        said += f", and {' and '.join(near)} as much within the noise"
    return Answer(right=(trial.candidate.name, *near), said=said)


def knee_load(trials: tuple[Trial, ...], slo: Slo) -> Answer:
    """The load at which the leading configuration's curve turns from flat to steep."""
    leaders = ranked(trials)
    q, _ = charted_percentile(slo, trials) if trials else (0.99, None)
    point = knee(leaders[0][0], q, charted_rate(trials)) if leaders else None
    if point is None:
        return Answer(right=(), said="the measured curve does not turn: too few loads, or none that saturates")
    rate = rate_text(point.measurement.throughput_per_s)
    return Answer(right=(load_text(point.load),), said=f"the curve turns at {load_text(point.load)}, {rate} requests/s")


def limit_to_explore(trials: tuple[Trial, ...], slo: Slo) -> tuple[str, int]:
    """A percentile and a limit in ms to ask a what-if with first: a quarter above what the leading point took."""
    q, limit_s = charted_percentile(slo, trials)
    q = q if limit_s else 0.95
    found = (percentile(point.measurement, q) for _, point in ranked(trials)[:1])
    taken_ms = next((1.25e3 * quantile.value_s for quantile in found if quantile), 40.0)
    return percentile_name(q), max(1, round(float(f"{taken_ms:.2g}")))


def commonest_batch(trials: tuple[Trial, ...], model: str) -> Answer:
    """The batch sizes in which most rows of a served model were executed, at the leading configuration's best load."""
    leaders = ranked(trials)
    splits = [s for s in leaders[0][1].measurement.models if s.model == model] if leaders else []
    batches = [b for s in splits for b in s.batches]
    if not batches:
        return Answer(right=(), said=f"the server told no batch sizes of {model}")
    rows = dict.fromkeys((name for name, _ in BUCKETS), 0)
    for b in batches:
        rows[bucket(b.size)] += b.size * b.executions
    most = max(rows, key=lambda name: rows[name])
    share = percent_text(rows[most] / sum(rows.values()))
    said = f"{share} of the rows of {model} went in batches of {most}"
    return Answer(right=(most,), said=f"{said}, with {load_text(leaders[0][1].load)}")


#: Batch sizes as they are asked for: exact ones vary from run to run.
BUCKETS = (("1", 1), ("2 to 4", 4), ("5 to 8", 8), ("9 to 16", 16), ("more than 16", 1 << 30))


def bucket(size: int) -> str:
    """The words for a batch size."""
    return next(name for name, most in BUCKETS if size <= most)


def slowest_wait(ttft_s: float, gaps_s: tuple[float, ...]) -> Answer:
    """Whether the first token or the longest gap between two others was waited for longer."""
    longest = max(gaps_s, default=0.0)
    said = f"the first token took {time_text(ttft_s)}, the longest gap {time_text(longest)}"
    return Answer(right=(FIRST if ttft_s > longest else GAP,), said=said)


FIRST, GAP = "the first token", "the longest gap"
