"""Why a configuration was not chosen, and what it consists of, in words. Pure: values in, text out."""

from __future__ import annotations

from toolkit.load.slo import Slo
from toolkit.tune.evidence import is_usable
from toolkit.tune.max_rate_fit import Estimate
from toolkit.tune.methods import over_memory
from toolkit.tune.plan import Plan
from toolkit.tune.search import Ledger, Tried, refused_of
from toolkit.tune.space import Configuration
from toolkit.tune.words import percent_text, rate_text, target_text, under_text


def settings_text(configuration: Configuration) -> str:
    """The settings in words; those of what is configured too, which changes nothing."""
    texts = []
    for entry, setting in configuration.settings.items():
        plural = "" if setting.threads == 1 else "s"
        threads = "" if setting.threads is None else f", {setting.threads or 'all'} thread{plural}"
        sizes = f", preferred {'/'.join(map(str, setting.preferred))}" if setting.preferred else ""
        variant = f", {setting.variant}" if setting.variant else ""
        count = f"{setting.instances} instance{'s' if setting.instances > 1 else ''}"
        texts.append(
            f"{entry}: batch {setting.max_batch_size}, {count}, delay {setting.delay_us} us{threads}{sizes}{variant}"
        )
    return "; ".join(texts)


def why_not(
    plan: Plan,
    ledger: Ledger,
    slo: Slo,
    configuration: Configuration,
    found: Estimate | None,
    best: Estimate | None,
    score: float | None,
) -> str:
    """The reason against a configuration that was tried: refused, over the memory, beaten or short of the SLO."""
    tried = ledger.of(configuration.candidate)
    if refused := refused_of(tried):
        return f"the server did not load it: {refused}"
    if used := over_memory(plan, ledger, configuration.candidate):
        return f"takes {used / 2**20:,.0f} MiB; the limit is {(plan.most_memory_bytes or 0) / 2**20:,.0f} MiB"
    windows = [t for t in tried if is_usable(t) and t.ask.why != "probe"]
    if not windows:
        return next((t.observation.spoiled for t in tried if t.observation.spoiled), "could not be measured")
    if score is not None:
        return f"{plan.objective.of_score(score)} at the given load"
    if found and best:
        less = 1 - found.rate_per_s / best.rate_per_s
        return f"sustains {rate_text(found.rate_per_s)} requests/s, {percent_text(max(0.0, less))} less"
    return lost_text(plan, slo, windows)


def lost_text(plan: Plan, slo: Slo, tried: list[Tried]) -> str:
    """The criterion that was furthest over its bound in the last window."""
    last = tried[-1]
    pairs = list(zip(slo.criteria, plan.bounds, last.observation.seen, strict=True))
    criterion, bound, seen = max(pairs, key=lambda p: p[2].mean / p[1].limit)
    under = under_text(last.ask.load)
    if not seen.samples:
        return f"at {under} nothing was answered in time"
    if bound.is_share:
        return f"at {under} {100 * seen.mean:.3g} % missed {target_text(criterion)} (allowed {100 * bound.limit:.2g} %)"
    return f"at {under} {criterion.name} was {1e3 * seen.mean:.3g} ms, over {target_text(criterion)}"
