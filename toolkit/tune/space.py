"""The joint space of configurations: what may vary of each repository entry, and the candidates that come of it. Pure.

In: the entries' configurations, ranges (from poc.yaml `search.ranges`, else defaults for this machine), the accuracy
budget. Out: Configurations, each a Candidate in Triton's own field names with the settings that it is made of, and the
variants that were left out, with the reason.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from toolkit.errors import ConfigurationError
from toolkit.repository.model_config import ModelConfig
from toolkit.tune.decision import Candidate, Rejection

AS_CONFIGURED = "as-configured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One form of a model: a precision, a backend or an accelerator, as a partial ModelConfig.

    `accuracy_loss` is what it loses of the original's task metric; None where nobody measured it.
    """

    config: dict[str, Any] = field(default_factory=dict)
    accuracy_loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """The values to try of one entry, in Triton's terms; an empty one keeps what is configured.

    `preferred_batch_size` holds lists, an empty one among them where none is to be tried as well.
    """

    max_batch_size: tuple[int, ...] = ()
    instance_count: tuple[int, ...] = ()
    max_queue_delay_microseconds: tuple[int, ...] = ()
    preferred_batch_size: tuple[tuple[int, ...], ...] = ()
    intra_op_thread_count: tuple[int, ...] = ()
    variants: dict[str, Variant] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value of each range. `threads` None: the entry has no such parameter. `variant` "": the entry as it is."""

    max_batch_size: int
    instances: int
    delay_us: int = 0
    preferred: tuple[int, ...] = ()
    threads: int | None = None
    variant: str = ""

    @property
    def name(self) -> str:
        """`b16-i2-d500-t1`, with `-p8` for preferred sizes and the variant's name."""
        parts = [f"b{self.max_batch_size}", f"i{self.instances}", f"d{self.delay_us}"]
        parts += [] if self.threads is None else [f"t{self.threads}"]
        parts += [f"p{'.'.join(map(str, self.preferred))}"] if self.preferred else []
        return "-".join([*parts, self.variant] if self.variant else parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A candidate and, by entry, the settings that it consists of."""

    candidate: Candidate
    settings: dict[str, Setting]

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.candidate.name


@dataclass(frozen=True, kw_only=True)
class Space:
    """Every configuration, the one that is configured first, and the variants that were left out."""

    configurations: tuple[Configuration, ...]
    left_out: tuple[Rejection, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all configurations, in order."""
        return tuple(c.name for c in self.configurations)

    @cached_property
    def places(self) -> dict[str, tuple[float, ...]]:
        """Where each configuration stands, by its name: of every value that varies, its rank among them from 0 to 1.

        Variants have no order; each is a direction of its own.
        """
        columns: list[list[float]] = []
        for entry in self.configurations[0].settings:
            settings = [c.settings[entry] for c in self.configurations]
            for values in zip(*(_axes(s) for s in settings), strict=True):
                columns.append(_ranks(values))
            variants = sorted({s.variant for s in settings})
            columns += [[float(s.variant == v) for s in settings] for v in variants[1:]]
        varying = [c for c in columns if max(c) > 0]
        return {c.name: tuple(column[n] for column in varying) for n, c in enumerate(self.configurations)}


def _axes(setting: Setting) -> tuple[Any, ...]:
    """The values of a setting that have an order."""
    threads = -1 if setting.threads is None else setting.threads
    return setting.max_batch_size, setting.instances, setting.delay_us, setting.preferred, threads


def _ranks(values: Sequence[Any]) -> list[float]:
    """The rank of each value among those that there are, from 0 to 1; all 0 where there is one alone."""
    known = sorted(set(values))
    return [known.index(value) / max(len(known) - 1, 1) for value in values]


def setting_of(config: ModelConfig) -> Setting:
    """What an entry is configured as."""
    batching, threads = config.dynamic_batching, config.parameters.get("intra_op_thread_count")
    return Setting(
        max_batch_size=max(1, config.max_batch_size),
        instances=sum(1 if g.count is None else g.count for g in config.instance_group) or 1,
        delay_us=batching.max_queue_delay_microseconds if batching else 0,
        preferred=tuple(batching.preferred_batch_size) if batching else (),
        threads=int(threads.string_value or 0) if threads else None,
    )


def space_of(
    entries: Mapping[str, ModelConfig],
    ranges: Mapping[str, Ranges],
    *,
    accuracy_budget: float | None = None,
    ensembles: Mapping[str, ModelConfig] | None = None,
) -> Space:
    """Every combination of the ranges of all entries, each once, behind the one that is configured.

    `ensembles` are the pipelines made of `entries`; Triton refuses one whose largest batch a part does not take.

    A variant whose accuracy loss is over `accuracy_budget`, or unknown while a budget is given, is left out with the
    reason. Raises ConfigurationError for an entry that is not there, or values that make no sense.
    """
    unknown = sorted(ranges.keys() - entries.keys())
    if unknown:
        known = ", ".join(sorted(entries))
        raise ConfigurationError(f"search.ranges.{unknown[0]} is not an entry that can vary; there are: {known}")
    left_out: list[Rejection] = []
    choices = {n: _settings(n, entries[n], r, accuracy_budget, left_out) for n, r in ranges.items()}
    base = {name: setting_of(entries[name]) for name in ranges}
    found = [Configuration(candidate=Candidate(name=AS_CONFIGURED, config={}), settings=base)]
    for combination in itertools.product(*choices.values()):
        settings = dict(zip(choices, combination, strict=True))
        if settings != base:
            found.append(_configuration(settings, entries, ranges, ensembles or {}))
    return Space(configurations=tuple(found), left_out=tuple(left_out))


def _settings(
    name: str, config: ModelConfig, ranges: Ranges, budget: float | None, left_out: list[Rejection]
) -> tuple[Setting, ...]:
    """The settings of one entry, those that come to the same once; variants over the budget go to `left_out`."""
    base = setting_of(config)
    variants = [v for v in ranges.variants if _is_accurate(f"{name}: {v}", ranges.variants[v], budget, left_out)]
    axes = (
        ranges.max_batch_size or (base.max_batch_size,),
        ranges.instance_count or (base.instances,),
        ranges.max_queue_delay_microseconds or (base.delay_us,),
        ranges.preferred_batch_size or (base.preferred,),
        ranges.intra_op_thread_count or (base.threads,),
        variants or ("",),
    )
    found = {_setting(name, *values) for values in itertools.product(*axes)}
    return tuple(sorted(found, key=_order))


def _order(setting: Setting) -> tuple[Any, ...]:
    sizes = (setting.instances, setting.max_batch_size, setting.delay_us, setting.preferred)
    return setting.variant, setting.threads or 0, *sizes


def _setting(
    name: str, size: int, instances: int, delay_us: int, preferred: Sequence[int], threads: int | None, variant: str
) -> Setting:
    """One combination as it acts: requests alone wait for none, and preferred sizes above the largest are none."""
    if size < 1 or instances < 1 or delay_us < 0 or (threads or 0) < 0:
        raise ConfigurationError(
            f"search.ranges.{name}: batch sizes and instance counts are 1 or more, delays and threads 0 or more"
        )
    kept = tuple(sorted(p for p in preferred if p < size))
    return Setting(
        max_batch_size=size,
        instances=instances,
        delay_us=delay_us if size > 1 else 0,
        preferred=kept,
        threads=threads,
        variant=variant,
    )


def _is_accurate(name: str, variant: Variant, budget: float | None, left_out: list[Rejection]) -> bool:
    if budget is None or not variant.config:
        return True
    loss = variant.accuracy_loss
    if loss is not None and loss <= budget:
        return True
    reason = "its accuracy was not measured" if loss is None else f"it loses {loss:.4g} of accuracy"
    left_out.append(Rejection(candidate=name, reason=f"{reason}; the budget is {budget:g}"))
    return False


def _configuration(
    settings: Mapping[str, Setting],
    entries: Mapping[str, ModelConfig],
    ranges: Mapping[str, Ranges],
    ensembles: Mapping[str, ModelConfig],
) -> Configuration:
    config = {n: partial_config(s, entries[n], ranges[n].variants.get(s.variant)) for n, s in settings.items()}
    for name, ensemble in ensembles.items():
        parts = [s.model_name for s in ensemble.ensemble_scheduling.step] if ensemble.ensemble_scheduling else []
        sizes = [
            settings[p].max_batch_size if p in settings else entries[p].max_batch_size for p in parts if p in entries
        ]
        if ensemble.max_batch_size and min(sizes, default=0) != ensemble.max_batch_size:
            config[name] = {"max_batch_size": min(sizes)}
    name = "_".join(setting.name for setting in settings.values())
    return Configuration(candidate=Candidate(name=name, config=config), settings=dict(settings))


def partial_config(setting: Setting, config: ModelConfig, variant: Variant | None) -> dict[str, Any]:
    """The settings as a partial ModelConfig over `config`: the variant's own, then what varies."""
    kinds = [g.kind for g in config.instance_group] or ["KIND_AUTO"]
    own = variant.config if variant else {}
    chosen = own.get("instance_group", [{}])[0].get("kind", kinds[0])
    partial: dict[str, Any] = {"instance_group": [{"count": setting.instances, "kind": chosen}]}
    if config.max_batch_size > 0:
        batching: dict[str, Any] = {"max_queue_delay_microseconds": setting.delay_us}
        if setting.preferred or setting_of(config).preferred:
            batching["preferred_batch_size"] = list(setting.preferred)
        partial |= {"max_batch_size": setting.max_batch_size, "dynamic_batching": batching}
    if setting.threads is not None:
        partial["parameters"] = own.get("parameters", {}) | {"intra_op_thread_count": setting.threads}
    return own | partial
