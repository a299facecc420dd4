"""How a sweep looks: its table, one line a load, and its `--json` document."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from toolkit.cli import show_loadgen
from toolkit.cli.show import document, out, table
from toolkit.records import to_data

if TYPE_CHECKING:
    from toolkit.load.drift import Drift
    from toolkit.load.goodput import Goodput
    from toolkit.load.measurement import Distribution, Measurement
    from toolkit.tune.decision import Point
    from toolkit.workflow.sweep import Swept

    Cell = Callable[[Point], str]

NONE = "-"


def _time(q: float) -> Cell:
    def text(point: Point) -> str:
        quantile = next((v for v in point.measurement.latency.quantiles if v.q == q), None)
        return NONE if quantile is None else f"{quantile.value_s * 1e3:.2f}"

    return text


def _offered(point: Point) -> str:
    offered = point.measurement.offered_per_s
    return NONE if offered is None else f"{offered:.1f}"


def _send_lag(point: Point) -> str:
    client = point.measurement.client
    return NONE if client is None or client.send_lag_p99_s is None else f"{client.send_lag_p99_s * 1e6:.0f}"


def _streamed(name: str, q: float) -> Cell:
    def text(point: Point) -> str:
        times: Distribution | None = getattr(point.measurement.streams, name, None)
        return NONE if times is None or times.is_empty else f"{times.at(q).value_s * 1e3:.2f}"

    return text


def _tokens(point: Point) -> str:
    return NONE if point.measurement.streams is None else f"{point.measurement.streams.tokens_per_s:.0f}"


def _goodput(point: Point) -> str:
    good = point.measurement.goodput
    return NONE if good is None else f"{good.per_s:.2f} ({good.share:.0%})"


CLOSED: dict[str, Cell] = {
    "load": lambda point: point.load.name,
    "p50 [ms]": _time(0.5),
    "p90 [ms]": _time(0.9),
    "p95 [ms]": _time(0.95),
    "p99 [ms]": _time(0.99),
    "rate [1/s]": lambda point: f"{point.measurement.throughput_per_s:.1f}",
}
#: An open load also says what it meant to send, and how late it was.
OPEN: dict[str, Cell] = CLOSED | {"offered [1/s]": _offered, "send lag p99 [us]": _send_lag}
#: Of streamed answers these stand in place of the latency.
STREAMED: dict[str, Cell] = {
    "load": lambda point: point.load.name,
    "TTFT p50 [ms]": _streamed("ttft", 0.5),
    "p99 [ms]": _streamed("ttft", 0.99),
    "TPOT p50 [ms]": _streamed("tpot", 0.5),
    "ITL p99 [ms]": _streamed("itl", 0.99),
    "latency p50 [ms]": _time(0.5),
    "tokens/s": _tokens,
    "rate [1/s]": lambda point: f"{point.measurement.throughput_per_s:.2f}",
    "goodput [1/s]": _goodput,
}
LAST: dict[str, Cell] = {
    "errors []": lambda point: str(point.measurement.failed_requests),
    "verdict": lambda point: point.outcome if point.verdicts or point.outcome == "INVALID" else NONE,
    "warnings": lambda point: ", ".join(w.kind for w in point.measurement.warnings),
}


def sweep(swept: Swept, *, as_json: bool) -> None:
    """A sweep's table or document."""
    from toolkit.load.certify.certification import certificate_text

    if as_json:
        document(sweep_document(swept))
        return
    is_open = any(point.measurement.offered_per_s is not None for point in swept.points)
    is_streamed = any(point.measurement.streams is not None for point in swept.points)
    cells = (STREAMED if is_streamed else OPEN if is_open else CLOSED) | LAST
    table(tuple(cells), [[cell(point) for cell in cells.values()] for point in swept.points])
    for line in _referee_lines(swept):
        out.print(line, markup=False)
    if swept.scenario is not None:
        show_loadgen.scenario(swept.scenario, swept.points[0])
    remarks = [w.text for point in swept.points for w in point.measurement.warnings]
    if swept.drift is not None:
        out.print(_drift_text(swept.drift), markup=False)
        remarks += [swept.drift.warning.text] if swept.drift.warning else []
    for text in dict.fromkeys(remarks):
        out.print(f"! {text}", markup=False)
    certificates = [point.measurement.certificate for point in swept.points if point.measurement.certificate]
    out.print(certificate_text(certificates[0] if certificates else None), markup=False)
    out.print(f"report: {swept.run / 'report.html'}", markup=False)


def _drift_text(drift: Drift) -> str:
    first, again = (f"{seconds * 1e3:.2f} ms" for seconds in (drift.first_s, drift.again_s))
    return f"drift: {drift.load.name} again at the end: p50 {again} after {first} ({drift.change:+.0%})"


def _referee_lines(swept: Swept) -> list[str]:
    """Each closed loop by perf_analyzer, and how far our figures are from it."""
    ours = {point.load.name: point.measurement for point in swept.points}
    lines = []
    for theirs in swept.referee:
        own, p50 = ours[theirs.load.name], theirs.latency.at(0.5).value_s
        rate = theirs.throughput_per_s
        text = f"{theirs.engine} at {theirs.load.name}: p50 {p50 * 1e3:.2f} ms, {rate:.1f} requests/s"
        if own.latency.count and rate and p50:
            text += f"; ours {own.latency.at(0.5).value_s / p50 - 1:+.1%} and {own.throughput_per_s / rate - 1:+.1%}"
        lines.append(text)
    return lines


def sweep_document(swept: Swept) -> dict[str, Any]:
    """The JSON document of a sweep."""
    drift = to_data(swept.drift) | {"change": swept.drift.change} if swept.drift else None
    points = [point_document(point) for point in swept.points]
    told = {"run": swept.run, "points": points, "drift": drift, "scenario": to_data(swept.scenario)}
    return told | ({"referee": to_data(swept.referee)} if swept.referee else {})


def point_document(point: Point) -> dict[str, Any]:
    """One point of a sweep's JSON document, units in the keys."""
    m: Measurement = point.measurement
    return {
        "load": to_data(m.load) | {"name": m.load.name},
        "latency": _distribution(m.latency),
        "latency_interval": _interval(m.latency),
        "service": _distribution(m.service),
        "throughput_per_s": m.throughput_per_s,
        "offered_per_s": m.offered_per_s,
        "requests": m.requests,
        **_streams(m),
        "errors": {e.kind: e.count for e in m.errors},
        "server": {"models": to_data(m.models), "split": to_data(m.split), "process": to_data(m.server)},
        "gpus": to_data(m.gpus),
        "engine": m.engine,
        "client": to_data(m.client),
        "certificate": to_data(m.certificate),
        "warnings": to_data(m.warnings),
        "interrupted": m.interrupted,
        "verdict": point.outcome if point.verdicts else None,
        "criteria": to_data(point.verdicts),
    }


def _streams(m: Measurement) -> dict[str, Any]:
    """What a streamed answer adds, and the goodput where the SLO has limits of a request; nothing else."""
    found: dict[str, Any] = {}
    if m.streams is not None:
        for name in ("ttft", "tpot", "itl"):
            times: Distribution = getattr(m.streams, name)
            found |= {name: _distribution(times), f"{name}_interval": _interval(times)}
        found |= {"output_tokens_per_s": m.streams.tokens_per_s, "output_tokens_per_request": m.streams.tokens}
    return found | ({"goodput": _goodput_document(m.goodput)} if m.goodput else {})


def _goodput_document(good: Goodput) -> dict[str, Any]:
    return {
        "requests_per_s": good.per_s,
        "interval_per_s": [good.low_per_s, good.high_per_s],
        "share": good.share,
        "interval_share": [good.low_share, good.high_share],
    }


def _interval(times: Distribution) -> dict[str, Any]:
    return {f"p{100 * q.q:g}_ms": [_ms(q.low_s), _ms(q.high_s)] for q in times.quantiles}


def _distribution(times: Distribution) -> dict[str, Any]:
    return {f"p{100 * q.q:g}_ms": _ms(q.value_s) for q in times.quantiles} | {
        "mean_ms": _ms(times.mean_s),
        "count": times.count,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3
