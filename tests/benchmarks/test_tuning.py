"""How near the search comes to the best configuration of a whole grid, at a share of what measuring the grid took.

Grids are replayed (tests/tuning_grid.py) over 200 seeds: the race, Optuna's TPE and the rule of Model Analyzer's quick
search. Two grids are SIMULATED, from a server that the model of the batcher does not know (tests/simulated_triton.py);
those under grids/ were measured on a real Triton by record_grid.py. Prints the rows of README.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from simulated_triton import SimulatedTriton, Truth
from tuning_grid import Grid, Replay, grid_of, read_grid, recording, repeat_deviation

from toolkit.load.slo import slo_from_text
from toolkit.repository.model_config import (
    ModelConfig,
    ModelDynamicBatching,
    ModelInstanceGroup,
    ModelParameter,
)
from toolkit.tune.comparison import climbed_to, hill_climb, tpe
from toolkit.tune.decision import Candidate
from toolkit.tune.expect import expectations, laws_from_probes, probing
from toolkit.tune.max_rate_probe import bound_of
from toolkit.tune.methods import race
from toolkit.tune.objective import Objective
from toolkit.tune.plan import PROBE_SHARE, Expected, Plan, window_for
from toolkit.tune.search import Ledger, run_search
from toolkit.tune.space import Ranges, Space, space_of
from toolkit.tune.tuned import tuned

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
GRIDS = Path(__file__).parent / "grids"
#: Optuna's own models take seconds a search, so that it is replayed less often.
SEEDS = {"race": 200, "quick search": 200, "optuna": 50}
GOOD, LEAST_SHARE, MOST_OF_GRID = 0.95, 0.80, 0.10
#: Different probes give different orders; so many of them stand for all seeds.
ORDERS = 5
ONE = Ranges(
    max_batch_size=(1, 2, 4, 8, 16, 32),
    instance_count=(1, 2, 4),
    max_queue_delay_microseconds=(0, 500, 2000, 5000),
    intra_op_thread_count=(1, 2),
)
DECODE = Ranges(max_batch_size=(32,), instance_count=(1, 2), max_queue_delay_microseconds=(0, 1000))
CLASSIFY = Ranges(
    max_batch_size=(4, 8, 16, 32),
    instance_count=(1, 2),
    max_queue_delay_microseconds=(0, 1000, 4000),
    intra_op_thread_count=(1, 2),
)


def entry(name: str) -> ModelConfig:
    return ModelConfig(
        name=name,
        backend="onnxruntime",
        max_batch_size=8,
        instance_group=(ModelInstanceGroup(count=1),),
        dynamic_batching=ModelDynamicBatching(),
        parameters={"intra_op_thread_count": ModelParameter(string_value="1")},
    )


SIMULATED = {
    "SIMULATED, one model of 4 ms": (
        lambda: space_of({"net": entry("net")}, {"net": ONE}),
        {"net": Truth(fixed_s=0.002, row_s=0.002)},
        "p95=50ms",
    ),
    "SIMULATED, pipeline of two": (
        lambda: space_of({"decode": entry("decode"), "net": entry("net")}, {"decode": DECODE, "net": CLASSIFY}),
        {"decode": Truth(fixed_s=0.0006, row_s=0.0004), "net": Truth(fixed_s=0.001, row_s=0.0008)},
        "p95=25ms",
    ),
}


@cache
def simulated(name: str) -> Grid:
    """A grid recorded from the simulated server by the loop that records real ones."""
    make_space, truths, slo_text = SIMULATED[name]
    space, slo = make_space(), slo_from_text(slo_text)
    server = SimulatedTriton(truths=truths, space=space, slo=slo)
    bounds = tuple(bound_of(c) for c in slo.criteria)
    probes, ledger = Ledger(budget_s=math.inf), Ledger(budget_s=math.inf)
    run_search(probing(space, 1.0), probes, server.measure, _watch)
    expected = expectations(space, laws_from_probes(space, probes, cores=2), slo)
    plan = Plan(ranked=expected, bounds=bounds, objective=Objective())
    run_search(recording(plan, ledger, space), ledger, server.measure, _watch)
    return grid_of(ledger, space, title=name, simulated=True, machine="", slo=slo_text, cores=2.0)


def grids() -> list[str]:
    return [*SIMULATED, *(str(p) for p in sorted(GRIDS.glob("*.json.gz")))]


def grid(name: str) -> Grid:
    return simulated(name) if name in SIMULATED else read_grid(Path(name))


@dataclass(frozen=True, kw_only=True)
class Found:
    """One replay: the true rate of what was chosen over the best one's, and the share of the grid's time it took."""

    merit: float
    used: float
    tried: int


@pytest.mark.parametrize("name", grids())
@pytest.mark.parametrize("method", ["race", "optuna", "quick search"])
@pytest.mark.parametrize("share", [0.05, 0.10])
def test_a_method_on_a_grid(name: str, method: str, share: float) -> None:
    measured = grid(name)
    assert len(measured.windows) >= 120
    orders = {seed: _order(measured, seed) for seed in range(ORDERS)}
    found = [_replayed(measured, method, share, seed, orders[seed % ORDERS]) for seed in range(SEEDS[method])]
    good = sum(f.merit >= GOOD for f in found)
    low, high = _interval(good, len(found))
    merits = np.array([f.merit for f in found])
    print(
        f"\n| {measured.title} ({len(measured.windows)}) | {method} | {share:.0%} | {merits.mean():.3f} | "
        f"{np.quantile(merits, 0.05):.3f} | {good / len(found):.0%} ({low:.0%} to {high:.0%}) | "
        f"{np.mean([f.used for f in found]):.1%} | {np.mean([f.tried for f in found]):.0f} |"
    )
    if method == "race" and share == MOST_OF_GRID:
        assert good / len(found) >= LEAST_SHARE
        assert max(f.used for f in found) <= MOST_OF_GRID * 1.05


def _replayed(measured: Grid, method: str, share: float, seed: int, order: tuple[Expected, ...]) -> Found:
    replay, ledger, space = Replay(measured, seed), Ledger(budget_s=share * measured.spent_s), measured.space
    plan = Plan(
        ranked=order,
        bounds=measured.bounds,
        objective=Objective(),
        window_s=window_for(ledger.budget_s),
        budget_s=ledger.budget_s,
    )
    if method == "race":
        run_search(probing(space, window_for(ledger.budget_s, PROBE_SHARE)), ledger, replay.measure, _watch)
    search = {
        "race": lambda: race(plan, ledger),
        "optuna": lambda: tpe(plan, ledger, space, seed=seed),
        "quick search": lambda: hill_climb(plan, ledger, space),
    }[method]
    run_search(search(), ledger, replay.measure, _watch)
    chosen = climbed_to(plan, ledger) if method == "quick search" else _chosen(plan, ledger, measured)
    merit = measured.rates[chosen.name] / max(measured.rates.values()) if chosen else 0.0
    tried = {t.ask.candidate.name for t in ledger.tried if t.ask.why != "probe"}
    return Found(merit=merit, used=ledger.spent_s / measured.spent_s, tried=len(tried))


def _order(measured: Grid, seed: int) -> tuple[Expected, ...]:
    """What the model expects after the probes of one replay."""
    ledger, space = Ledger(budget_s=math.inf), measured.space
    # As long as the recorded ones: how busy the model was follows from their executions.
    run_search(probing(space, measured.window_s), ledger, Replay(measured, seed).measure, _watch)
    return expectations(space, laws_from_probes(space, ledger, cores=measured.cores), slo_from_text(measured.slo))


def _chosen(plan: Plan, ledger: Ledger, measured: Grid) -> Candidate | None:
    space: Space = measured.space
    name = tuned(plan, ledger, space, slo_from_text(measured.slo), method="", device="").decision.candidate
    return next((c.candidate for c in space.configurations if c.name == name), None)


def _interval(good: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, share = 1.96, good / of
    centre, half = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + (z / (2 * of)) ** 2)
    return (centre - half) / (1 + z * z / of), (centre + half) / (1 + z * z / of)


def _watch(ledger: Ledger) -> None:
    """Nothing is shown of a replay."""


def test_the_noise_of_a_grid_is_that_of_its_repeats() -> None:
    deviation = repeat_deviation(simulated(next(iter(SIMULATED))))
    assert 0.1 < deviation[0] < 2.0
