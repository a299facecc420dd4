"""Record a real grid: every configuration at rates around its knee, twice, on an embedded Triton. Takes an hour or two.

    python tests/benchmarks/record_grid.py convolutions        # a model of about 2 ms a row
    python tests/benchmarks/record_grid.py digits              # the pipeline of pocs/vision
    python tests/benchmarks/record_grid.py digits --race 3     # search live, and look up in the grid what was chosen

Ctrl-C loses nothing: the same command goes on where it was. Run it on a machine that does nothing else. What it writes,
tests/benchmarks/grids/NAME.json.gz, is what test_tuning.py replays.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.test_embedded_against_raw import convolutions
from tuning_grid import Grid, grid_of, read_grid, recording, write_grid

from toolkit.environment import environment_here
from toolkit.tune.objective import Objective
from toolkit.tune.plan import Plan
from toolkit.tune.search import Ledger, run_search
from toolkit.tune.space import Ranges
from toolkit.tune.tuned import tuned
from toolkit.workflow.jobs import embedded
from toolkit.workflow.measure import Driving
from toolkit.workflow.runs import RUNS, locked, new_run, resumable_run
from toolkit.workflow.tune import Asked
from toolkit.workflow.tune_search import bench_of, plan_of, probed, search_from_probes
from toolkit.workflow.tune_target import Tuning, space_here, tuning_of

HERE = Path(__file__).parent
SLOS = {"convolutions": "p95=50ms", "digits": "p95=25ms"}
RANGES = {
    "convolutions": Ranges(
        max_batch_size=(1, 2, 4, 8, 16, 32),
        instance_count=(1, 2, 4),
        max_queue_delay_microseconds=(0, 500, 2000, 5000),
        intra_op_thread_count=(1, 2),
    )
}
LAYERS = 4
#: Of the grid's time, what a live race may take.
SHARE = 0.10
CONFIG = """
name: "convolutions" backend: "onnxruntime" max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [8, 16, 16] }
output { name: "y" data_type: TYPE_FP32 dims: 128 }
dynamic_batching { }
parameters { key: "intra_op_thread_count" value { string_value: "1" } }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=SLOS)
    parser.add_argument("--window", type=float, default=1.0, help="seconds of the shortest window")
    parser.add_argument("--most", type=int, help="only so many configurations, to try the recording")
    parser.add_argument("--output", type=Path, help="default: grids/NAME.json.gz beside this file")
    parser.add_argument("--race", type=int, metavar="TIMES", help="race on the live server instead of recording")
    asked = parser.parse_args()
    file = asked.output or HERE / "grids" / f"{asked.name}.json.gz"
    if asked.race:
        for number in range(asked.race):
            race_live(asked.name, read_grid(file), number)
    else:
        record(asked.name, asked.window, asked.most, file)


def record(name: str, window_s: float, most: int | None, output: Path) -> None:
    """Record the grid `name` into `output`, going on with what a run folder holds already."""
    tuning = _tuning(name, most)
    config = {"grid": name, "window_s": window_s, "space": tuning.space}
    run = resumable_run(RUNS, f"grid-{name}", config=config, models=tuning.digests)
    run = run or new_run(RUNS, f"grid-{name}", "record_grid", tuning.subject, config=config, models=tuning.digests)
    ledger, slo = Ledger(budget_s=float("inf")), tuning.subject.slo
    with locked(run), embedded(tuning.repository, run / "triton.log", say)() as endpoint:
        bench = bench_of(run, endpoint, tuning, tuning.requests(endpoint), Driving())
        plan: Plan = replace(plan_of(tuning, Objective(), budget_s=300.0), window_s=window_s)
        probes = Ledger(budget_s=float("inf"))
        plan = probed(plan, probes, replace(bench, place="probes/"), tuning.space, probe_s=window_s, progress=say)
        run_search(recording(plan, ledger, tuning.space), ledger, bench.measure, _watch)
    here = environment_here()
    text = ",".join(f"{c.metric}.{c.statistic}={c.limit}s" for c in slo.criteria)
    facts = {"title": name, "simulated": False, "machine": here.summary(), "slo": text, "cores": here.cores}
    grid = grid_of(ledger, tuning.space, window_s=window_s, **facts)
    write_grid(output, grid)
    say(f"{output}: {len(grid.windows)} configurations, {grid.spent_s / 60:.0f} minutes of measuring")


def race_live(name: str, grid: Grid, number: int) -> None:
    """Search on the live server with a tenth of the grid's time, and say what the grid knows of the chosen one."""
    tuning, ledger = _tuning(name, None), Ledger(budget_s=SHARE * grid.spent_s)
    slo, config = tuning.subject.slo, {"race": name, "number": number}
    run = new_run(RUNS, f"race-{name}", "record_grid", tuning.subject, config=config, models=tuning.digests)
    plan = plan_of(tuning, Objective(), budget_s=ledger.budget_s)
    with locked(run), embedded(tuning.repository, run / "triton.log", say)() as endpoint:
        bench = bench_of(run, endpoint, tuning, tuning.requests(endpoint), Driving())
        plan = search_from_probes(plan, ledger, bench, tuning.space, method="race", progress=say)
    chosen = tuned(plan, ledger, tuning.space, slo, method="race", device="").decision.candidate or ""
    best = max(grid.rates.values())
    say(
        f"race {number + 1}: {chosen}, {grid.rates.get(chosen, 0.0) / best:.1%} of the best in the grid "
        f"({best:,.0f}/s), in {ledger.spent_s:.0f} s, {ledger.spent_s / grid.spent_s:.1%} of its time"
    )


def _tuning(name: str, most: int | None) -> Tuning:
    wishes = Asked(target=name, slo=SLOS[name], repository=RUNS / "grid-models", objective=Objective())
    if name == "digits":
        tuning = tuning_of("pocs/vision", wishes.repository, wishes.slo, wishes, root=RUNS, progress=say)
    else:
        version = wishes.repository / name / "1"
        if not (version / "model.onnx").is_file():
            version.mkdir(parents=True, exist_ok=True)
            convolutions(version / "model.onnx", LAYERS)
            (version.parent / "config.pbtxt").write_text(CONFIG)
        tuning = tuning_of(name, wishes.repository, wishes.slo, wishes, root=RUNS, progress=say)
        space = space_here(tuning.repository, tuning.subject, {name: RANGES[name]}, None)
        tuning = replace(tuning, space=space)
    few = tuning.space.configurations[:most]
    return replace(tuning, space=replace(tuning.space, configurations=few))


def _watch(ledger: Ledger) -> None:
    last = ledger.tried[-1]
    say(f"{len(ledger.tried)}. {last.ask.candidate.name} {last.ask.load.name}: {last.throughput_per_s:,.0f}/s")


def say(text: str) -> None:
    """Progress, to where it is seen at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
