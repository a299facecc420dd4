"""What the batcher's model expects of every configuration, from a few probes: where a search begins. Pure.

In: a space, and what the probes' windows said of each model's executions. Out: the probes to make, and then every
candidate with the rate that it should sustain, the best first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from toolkit.load.slo import Slo
from toolkit.tune.batcher import Service, Stage, sustained_rate_per_s
from toolkit.tune.evidence import is_usable
from toolkit.tune.plan import Expected
from toolkit.tune.search import Ask, Ledger, Search, Tried, clients_load
from toolkit.tune.service_law import ServiceLaw, ServiceProbe, probe_from_split, service_law
from toolkit.tune.space import Configuration, Setting, Space

#: Clients of the closed loop that fills batches; more than the largest batch would only wait.
MOST_CLIENTS = 32
#: A configuration about which the probes say nothing is expected to sustain this share of the others' best.
UNKNOWN_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A law by entry and variant."""

    laws: Mapping[tuple[str, str], ServiceLaw]


def probing(space: Space, window_s: float) -> Search:
    """Of each configuration in `probe_configurations` a window with one client, and one with enough to fill batches."""
    for configuration in probe_configurations(space):
        for clients in (1, filling_clients(configuration)):
            load = clients_load(clients, window_s if clients > 1 else window_s / 2)
            done = yield Ask(candidate=configuration.candidate, load=load, why="probe")
            if done.refused:
                break


def filling_clients(configuration: Configuration) -> int:
    """Clients that keep every instance busy, with batches that are full as far as MOST_CLIENTS reach."""
    return min(MOST_CLIENTS, max(2, *(s.max_batch_size * s.instances for s in configuration.settings.values())))


def probe_configurations(space: Space) -> tuple[Configuration, ...]:
    """A configuration for each variant and thread count, with the fewest instances, and one with the most of them.

    Large batches and no delay, so that one window shows executions of many sizes.
    """
    found: dict[str, Configuration] = {}
    entries = list(space.configurations[0].settings)
    kinds = {n: sorted({_kind(c.settings[n]) for c in space.configurations}) for n in entries}
    for number in range(max(len(k) for k in kinds.values())):
        wanted = {n: kinds[n][number % len(kinds[n])] for n in entries}
        chosen = max(space.configurations, key=lambda c: _suits(c, wanted, fewest=True))
        found.setdefault(chosen.name, chosen)
    first = {n: kinds[n][0] for n in entries}
    crowded = max(space.configurations, key=lambda c: _suits(c, first, fewest=False))
    found.setdefault(crowded.name, crowded)
    return tuple(found.values())


def _kind(setting: Setting) -> tuple[str, int]:
    return setting.variant, -1 if setting.threads is None else setting.threads


def _suits(configuration: Configuration, wanted: Mapping[str, tuple[str, int]], *, fewest: bool) -> tuple[int, ...]:
    """How well a configuration serves as a probe: the kinds, then instances, delays and batch sizes, added up."""
    settings = configuration.settings
    instances = sum(s.instances for s in settings.values())
    return (
        sum(_kind(settings[n]) == kind for n, kind in wanted.items()),
        -instances if fewest else instances,
        -sum(s.delay_us for s in settings.values()),
        sum(s.max_batch_size for s in settings.values()),
    )


def laws_from_probes(space: Space, ledger: Ledger, *, cores: float) -> Known:
    """The service law of every entry and variant that was probed."""
    by_name = {c.name: c for c in space.configurations}
    probes: dict[tuple[str, str], list[ServiceProbe]] = {}
    for tried in ledger.tried:
        if tried.ask.why == "probe" and is_usable(tried):
            for entry, setting in by_name[tried.ask.candidate.name].settings.items():
                probes.setdefault((entry, setting.variant), []).extend(_probes_of(tried, entry, setting))
    return Known(laws={k: service_law(p, cores=cores) for k, p in probes.items() if any(one.batches for one in p)})


def _probes_of(tried: Tried, entry: str, setting: Setting) -> list[ServiceProbe]:
    splits = [s for s in tried.splits if s.model == entry]
    window_s, threads = tried.ask.load.duration_s, setting.threads or 0
    return [probe_from_split(s, threads=threads, instances=setting.instances, window_s=window_s) for s in splits]


def expectations(
    space: Space, known: Known, slo: Slo, *, progress: Callable[[str], None] = lambda text: None
) -> tuple[Expected, ...]:
    """Every candidate with the rate that it should sustain, the best first.

    Those about which the probes say nothing are put among the better half, so that they are tried at all.
    """
    progress(f"ordering {len(space.configurations)} configurations by the model of the batcher")
    rates: list[float | None] = []
    for configuration in space.configurations:
        stages = stages_of(configuration, known)
        rates.append(sustained_rate_per_s(stages, slo) if stages else None)
    best = max((r for r in rates if r), default=1.0)
    expected = (
        Expected(
            candidate=c.candidate,
            rate_per_s=UNKNOWN_SHARE * best if rate is None else rate,
            place=space.places[c.name],
        )
        for c, rate in zip(space.configurations, rates, strict=True)
    )
    return tuple(sorted(expected, key=lambda e: -e.rate_per_s))


def stages_of(configuration: Configuration, known: Known) -> tuple[Stage, ...]:
    """The configuration as stages of the model, in the order of its entries; empty when one of them is not known."""
    stages = []
    for entry, setting in configuration.settings.items():
        law = known.laws.get((entry, setting.variant))
        if law is None:
            return ()
        stages.append(
            Stage(
                service=_service(law, setting.threads or 0),
                instances=setting.instances,
                max_batch_size=setting.max_batch_size,
                queue_delay_s=setting.delay_us / 1e6,
                preferred_batch_sizes=setting.preferred,
            )
        )
    return tuple(stages)


def _service(law: ServiceLaw, threads: int) -> Service:
    return lambda size, busy: law.seconds(threads, size, busy)


def order_by_reloads(ranked: Sequence[Expected], block: int = 6) -> tuple[Expected, ...]:
    """The same order but for neighbours: within blocks, those that share the most are put together.

    An entry is loaded again only where its part of the configuration changes.
    """
    blocks = (ranked[first : first + block] for first in range(0, len(ranked), block))
    return tuple(e for part in blocks for e in sorted(part, key=lambda e: str(sorted(e.candidate.config.items()))))
