"""Methods that a search is compared with: Optuna's TPE, and the rule of Model Analyzer's quick search. Generators.

In and out: as methods.py. TPE needs the extra `tune`. The hill climb drives closed loops of 2 x max_batch_size x
instances clients (triton-inference-server/model_analyzer, docs/config_search.md, "Quick Search Mode"), so it never
learns at which rate an SLO holds; it is here for the benchmark alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from toolkit.extras import require
from toolkit.tune.decision import Candidate
from toolkit.tune.evidence import holds_on_average, is_usable
from toolkit.tune.methods import FIRST, finals, find_rate, sustained_rate
from toolkit.tune.plan import Plan
from toolkit.tune.search import Ask, Ledger, Search, clients_load
from toolkit.tune.space import Configuration, Setting, Space

#: TPE suggests the same again when it has seen enough; so many times in a row end the search.
MOST_REPEATS = 200
#: Candidates that TPE draws at random before it models anything.
STARTUP = 10


def tpe(plan: Plan, ledger: Ledger, space: Space, *, seed: int = 0) -> Search:
    """Optuna's TPE over the settings, each suggestion measured for its rate; then the finals.

    A combination that is no configuration counts as one that sustains nothing. Raises MissingDependency.
    """
    optuna = require("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    )
    axes, expected = _axes(space), {e.candidate.name: e for e in plan.ranked}
    by_settings = {_key(c.settings): c for c in space.configurations}
    scale, repeats = max(e.rate_per_s for e in plan.ranked), 0
    while repeats < MOST_REPEATS and ledger.left_s > plan.budget_s / 4:
        trial = study.ask()
        chosen = {axis: values[trial.suggest_categorical(axis, list(values))] for axis, values in axes.items()}
        configuration = by_settings.get(_key(_settings(chosen)))
        candidate = configuration.candidate if configuration else None
        if candidate is None or ledger.of(candidate, "rate"):
            repeats += 1
            study.tell(trial, (sustained_rate(plan, ledger, candidate) or 0.0) if candidate else 0.0)
            continue
        repeats = 0
        first = FIRST * (expected[candidate.name].rate_per_s or 0.1 * scale)
        study.tell(trial, (yield from find_rate(plan, ledger, candidate, first)) or 0.0)
    yield from finals(plan, ledger)


def hill_climb(plan: Plan, ledger: Ledger, space: Space) -> Search:
    """From the smallest batches and fewest instances to the neighbour with more throughput, while there is one.

    Neighbours double or halve the batch size or the instances of one entry; a configuration whose window misses the
    SLO counts below all that keep it. Other settings stay as they are configured.
    """
    reachable = _same_but_size_and_count(space)
    place = min(reachable, key=lambda c: [(s.max_batch_size, s.instances) for s in c.settings.values()])
    best = yield from _closed(plan, ledger, place)
    while True:
        found = {}
        for other in _neighbours(place, reachable):
            if ledger.left_s < plan.cost_s(ledger, 1e9):
                break
            found[other.name] = (yield from _closed(plan, ledger, other)), other
        if not found or max(found.values(), key=lambda pair: pair[0])[0] <= best:
            return
        best, place = max(found.values(), key=lambda pair: pair[0])


def climbed_to(plan: Plan, ledger: Ledger) -> Candidate | None:
    """What the hill climb chooses: the highest throughput that kept the SLO, else None."""
    tried = [t for t in ledger.tried if t.ask.why == "load" and holds_on_average((t,), plan.bounds)]
    best = max(tried, key=lambda t: t.throughput_per_s, default=None)
    return best.ask.candidate if best else None


def _closed(plan: Plan, ledger: Ledger, configuration: Configuration) -> Any:
    """Whether the closed window kept the SLO, and its throughput, as something that can be compared."""
    tried = ledger.of(configuration.candidate, "load")
    if not tried:
        load = clients_load(climb_clients(configuration), plan.window_s)
        tried = ((yield Ask(candidate=configuration.candidate, load=load, why="load")),)
    if not is_usable(tried[0]):
        return False, 0.0
    return holds_on_average(tried, plan.bounds), tried[0].throughput_per_s


def climb_clients(configuration: Configuration) -> int:
    """2 x max_batch_size x instances, of the entry where that is most."""
    return max(2 * s.max_batch_size * s.instances for s in configuration.settings.values())


def _same_but_size_and_count(space: Space) -> list[Configuration]:
    """The configurations that keep delay, preferred sizes, threads and variant of the first one.

    That one itself only where its sizes and counts are among the others': else it would stand apart from the grid.
    """
    first, *others = space.configurations
    base = first.settings
    kept = [
        c for c in others if all(_other(s) == _other(base[n]) or s.max_batch_size == 1 for n, s in c.settings.items())
    ]
    on_grid = all(
        getattr(setting, name) in {getattr(c.settings[entry], name) for c in kept}
        for entry, setting in base.items()
        for name in ("max_batch_size", "instances")
    )
    return [first, *kept] if on_grid or not kept else kept


def _other(setting: Setting) -> tuple[object, ...]:
    return setting.delay_us, setting.threads, setting.variant


def _neighbours(place: Configuration, among: Iterable[Configuration]) -> list[Configuration]:
    """Those that differ in the batch size or the instances of one entry, by the nearest value there is."""
    differ = [(c, d) for c in among if len(d := _steps(place.settings, c.settings)) == 1]
    found = []
    for axis in {(entry, name, up) for _, d in differ for entry, name, up, _ in d}:
        same = [(d[0][3], c) for c, d in differ if d[0][:3] == axis]
        found.append(min(same, key=lambda pair: pair[0])[1])
    return sorted(found, key=lambda c: c.name)


def _steps(a: Mapping[str, Setting], b: Mapping[str, Setting]) -> list[tuple[str, str, bool, float]]:
    steps = []
    for entry, setting in a.items():
        for name in ("max_batch_size", "instances"):
            before, after = getattr(setting, name), getattr(b[entry], name)
            if before != after:
                steps.append((entry, name, after > before, max(before, after) / min(before, after)))
    return steps


def _axes(space: Space) -> dict[str, dict[str, Any]]:
    """Each setting of each entry as a categorical axis: texts, which Optuna keeps, to values."""
    axes: dict[str, dict[str, Any]] = {}
    for configuration in space.configurations:
        for entry, setting in configuration.settings.items():
            for name in Setting.__dataclass_fields__:
                value = getattr(setting, name)
                axes.setdefault(f"{entry}/{name}", {})[repr(value)] = value
    return {axis: dict(sorted(values.items())) for axis, values in axes.items()}


def _settings(chosen: Mapping[str, Any]) -> dict[str, Setting]:
    by_entry: dict[str, dict[str, Any]] = {}
    for axis, value in chosen.items():
        entry, _, name = axis.rpartition("/")
        by_entry.setdefault(entry, {})[name] = value
    return {entry: Setting(**values) for entry, values in by_entry.items()}


def _key(settings: Mapping[str, Setting]) -> tuple[tuple[str, Setting], ...]:
    """Settings as they act, so that a delay for requests alone is none."""
    return tuple((n, _as_it_acts(s)) for n, s in sorted(settings.items()))


def _as_it_acts(setting: Setting) -> Setting:
    if setting.max_batch_size > 1:
        return replace(setting, preferred=tuple(p for p in setting.preferred if p < setting.max_batch_size))
    return replace(setting, delay_us=0, preferred=())
