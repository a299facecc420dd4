"""How LoadGen's account of a scenario looks, beside ours of the same requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.cli.show import out, table

if TYPE_CHECKING:
    from toolkit.load.loadgen import ScenarioResult
    from toolkit.load.loadgen_account import LoadgenAccount
    from toolkit.load.measurement import Distribution
    from toolkit.tune.decision import Point

NONE = "-"


def scenario(result: ScenarioResult, point: Point) -> None:
    """LoadGen's verdict and figures beside ours, its reasons, and what all of it is not."""
    name = type(result.scenario).__name__
    if result.loadgen is None:
        out.print(f"LoadGen's {name} was cut short, so LoadGen says nothing of it", markup=False)
        return
    counted = "queries" if name == "MultiStream" else "requests"
    columns = ("", "verdict", f"counted [{counted}]", "p50 [ms]", "p90 [ms]", "p99 [ms]", "rate [1/s]", "failed []")
    table(columns, _rows(result, result.loadgen, point), title=f"MLPerf LoadGen, {name}: {result.label}")
    for reason in result.loadgen.reasons:
        out.print(f"! LoadGen: {reason}", markup=False)
    if result.loadgen.early_stopping:
        out.print(f"LoadGen's early stopping: {' '.join(result.loadgen.early_stopping)}", markup=False)


def _rows(result: ScenarioResult, loadgen: LoadgenAccount, point: Point) -> list[list[str]]:
    ours = point.measurement
    verdict = point.outcome if point.verdicts else NONE
    return [
        ["LoadGen", loadgen.verdict, *_figures(loadgen.latency), f"{loadgen.throughput_per_s:.1f}", "not seen"],
        ["toolkit", verdict, *_figures(ours.latency), f"{ours.throughput_per_s:.1f}", str(result.failed)],
    ]


def _figures(latency: Distribution) -> list[str]:
    values = {quantile.q: f"{quantile.value_s * 1e3:.2f}" for quantile in latency.quantiles}
    return [NONE if latency.count is None else str(latency.count), *(values.get(q, NONE) for q in (0.5, 0.9, 0.99))]
