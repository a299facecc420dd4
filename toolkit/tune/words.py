"""Figures, loads, criteria and candidates in the words that a decision and its report use. Pure text.

In: values in seconds and per second. Out: short English, three significant digits, units included.
This module does not know which point was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolkit.load.pattern import Concurrency, Load, load_text

if TYPE_CHECKING:
    from toolkit.load.slo import Criterion
    from toolkit.load.verdict import Verdict
    from toolkit.tune.decision import Candidate


def time_text(seconds: float) -> str:
    """A time in the unit that suits it: `850 us`, `18.2 ms`, `1.25 s`."""
    for unit, scale in (("us", 1e6), ("ms", 1e3)):
        if abs(seconds) * scale < 999.5:
            return f"{_significant(seconds * scale)} {unit}" if seconds else "0 ms"
    return f"{_significant(seconds)} s"


def rate_text(per_s: float) -> str:
    """Requests per second without the unit: `1,234`, `56.7`, `0.25`."""
    return _significant(per_s)


def under_text(load: Load) -> str:
    """The load as something that a server is under: `8 clients at once`, `400 requests/s offered (poisson)`.

    A closed loop asks as fast as it is answered; of an open load it is said that the rate was offered, whatever came
    of it.
    """
    if isinstance(load, Concurrency):
        return load_text(load) + (" at once" if load.clients > 1 else "")
    rate, bracket, arrival = load_text(load).partition(" (")
    return f"{rate} offered{bracket}{arrival}"


def sentence_text(text: str) -> str:
    """A text with a capital at its beginning and a full stop at its end."""
    return closed_text(text[:1].upper() + text[1:])


def closed_text(text: str) -> str:
    """A text with a full stop at its end; its beginning, which may be a name, stays."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def percent_text(share: float) -> str:
    """A share of one as `25 %`."""
    return f"{100 * share:.0f} %"


def _significant(number: float) -> str:
    """Three significant digits, thousands with a comma, no trailing zeros after the point."""
    if abs(number) >= 99.95:
        return f"{number:,.0f}"
    digits = 1 if abs(number) >= 9.995 else 2 if abs(number) >= 0.9995 else 3
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".")


def is_at_least(criterion: Criterion) -> bool:
    """Whether the criterion asks for at least its limit; all metrics but throughput and goodput ask for at most."""
    return criterion.metric in ("throughput", "goodput")


def amount_text(criterion: Criterion, value: float) -> str:
    """A value of the criterion's metric with its unit."""
    if criterion.metric == "throughput":
        return f"{rate_text(value)}/s"
    is_share = criterion.metric in ("errors", "goodput")
    return f"{_significant(100 * value)} %" if is_share else time_text(value)


def criterion_name(criterion: Criterion) -> str:
    """`p99` for latency.p99, `mean latency`, `service p99`, `throughput`, `error rate`."""
    if criterion.metric == "latency":
        return criterion.statistic if criterion.quantile else f"{criterion.statistic} latency"
    names = {"throughput": "throughput", "errors": "error rate", "goodput": "goodput"}
    return names.get(criterion.metric, f"{criterion.metric} {criterion.statistic}")


def target_text(criterion: Criterion) -> str:
    """`p99 ≤ 20 ms`."""
    sign = "≥" if is_at_least(criterion) else "≤"
    return f"{criterion_name(criterion)}{_within(criterion)} {sign} {amount_text(criterion, criterion.limit)}"


def verdict_text(verdict: Verdict) -> str:
    """`p99 18.2 ms (limit 20 ms)`."""
    criterion = verdict.criterion
    limit = f"{'at least' if is_at_least(criterion) else 'limit'} {amount_text(criterion, criterion.limit)}"
    if verdict.measured is None:
        return f"{criterion_name(criterion)} not measurable ({limit})"
    return f"{criterion_name(criterion)} {amount_text(criterion, verdict.measured)}{_within(criterion)} ({limit})"


def _within(criterion: Criterion) -> str:
    """What each request must keep, of a goodput."""
    limits = " and ".join(f"{bound.metric} {time_text(bound.limit_s)}" for bound in criterion.within)
    return f" within {limits}" if limits else ""


def interval_text(verdict: Verdict) -> str:
    """`16.1 ms to 24 ms`; `16.1 ms or more` where the samples cannot bound the upper end."""
    low, high = (None if v is None else amount_text(verdict.criterion, v) for v in (verdict.low, verdict.high))
    if low is None or high is None:
        return f"{low} or more" if low else f"{high} or less" if high else "too few samples"
    return f"{low} to {high}"


def config_text(config: Mapping[str, Mapping[str, Any]]) -> str:
    """A candidate's change in words: `2 instances of digits, queue delay 100 us`; `as deployed` when there is none.

    Of several entries each with its own: `ranker: 2 instances, max_batch_size 4; recommend: max_batch_size 4`.
    """
    changed = {entry: partial for entry, partial in config.items() if partial}
    if len(changed) > 1:
        return "; ".join(f"{entry}: {', '.join(_entry_texts(partial))}" for entry, partial in changed.items())
    said = (text for entry, partial in changed.items() for text in _entry_texts(partial, f" of {entry}"))
    return ", ".join(said) or "as deployed"


def candidate_text(candidate: Candidate) -> str:
    """`'two-instances' (2 instances of digits)`."""
    return f"'{candidate.name}' ({config_text(candidate.config)})"


def instance_count(config: Mapping[str, Mapping[str, Any]]) -> int:
    """How many model instances a candidate asks for, over all entries that it changes."""
    return sum(_count(group) for partial in config.values() for group in partial.get("instance_group", ()))


def _count(group: Mapping[str, Any]) -> int:
    return int(group.get("count", 1))


def _entry_texts(partial: Mapping[str, Any], whose: str = "") -> list[str]:
    """What is changed of one entry; `whose` says of which, after its instances."""
    return [text for key, value in partial.items() for text in _field_texts(key, value, whose)]


def _field_texts(key: str, value: Any, whose: str) -> list[str]:
    if key == "instance_group":
        count = sum(_count(group) for group in value)
        return [f"{count} instance{'' if count == 1 else 's'}{whose}"]
    if key == "dynamic_batching" and isinstance(value, Mapping):
        delay = value.get("max_queue_delay_microseconds")
        rest = [f"{k} {_plain(v)}" for k, v in value.items() if k != "max_queue_delay_microseconds"]
        return ([] if delay is None else [f"queue delay {time_text(int(delay) / 1e6)}"]) + rest or ["dynamic batching"]
    if key == "parameters" and isinstance(value, Mapping):
        return [f"{k} {_plain(v)}" for k, v in value.items()]
    return [f"{key} {_plain(value)}"]


def _plain(value: Any) -> str:
    """A config value without Triton's wrapping (`{string_value: 2}`) or brackets."""
    if isinstance(value, Mapping):
        return str(value["string_value"]) if "string_value" in value else " ".join(f"{k} {v}" for k, v in value.items())
    return "/".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
