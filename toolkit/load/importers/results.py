"""What an importer makes of a result file: measurements, and per-request records where the file holds them.

In: figures as the tool states them, or the times of its requests. Out: Measurements of the tool's `engine`. What a file
does not say is None or empty: no count, no interval and no duration is made up. Intervals need per-request times, and
are then ours. A Load must have a duration; where the file states none it is Load's default, and `window_s` is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.load.measurement import Distribution, ErrorCount, Measurement, Quantile, Warning
from toolkit.load.metrics import measurement_from_records
from toolkit.load.pattern import Arrival, Concurrency, Load, RequestRate
from toolkit.load.request_records import Records

#: Of no request at all.
NOTHING = Distribution(count=0, mean_s=None, minimum_s=None, maximum_s=None, quantiles=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPoint:
    """One load point. `variant` tells points of the same load apart, such as the configuration that was served."""

    measurement: Measurement
    records: Records | None = None
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a file holds. `version` and `model` are empty where it does not say them."""

    tool: str
    version: str
    model: str
    points: tuple[ImportedPoint, ...]

    @property
    def engine(self) -> str:
        """The tool with its version."""
        return f"{self.tool} {self.version}".strip()


def closed_loop(clients: int, window_s: float | None = None) -> Concurrency:
    """A closed loop that another tool drove for `window_s` seconds."""
    load = Concurrency(clients=clients, warmup_s=0.0)
    return load if window_s is None else replace(load, duration_s=window_s)


def open_loop(
    rate_per_s: float, arrival: Arrival, window_s: float | None = None, *, variation: float = 1.0
) -> RequestRate:
    """An open loop that another tool drove for `window_s` seconds."""
    load = RequestRate(rate_per_s=rate_per_s, arrival=arrival, variation=variation, warmup_s=0.0)
    return load if window_s is None else replace(load, duration_s=window_s)


def stated_times(
    quantiles: Mapping[float, float | None],
    *,
    mean_s: float | None = None,
    count: int | None = None,
    minimum_s: float | None = None,
    maximum_s: float | None = None,
) -> Distribution:
    """A distribution of which a tool states some figures, in seconds, without intervals."""
    known = {q: value for q, value in sorted(quantiles.items()) if value is not None}
    return Distribution(
        count=count,
        mean_s=mean_s,
        minimum_s=minimum_s,
        maximum_s=maximum_s,
        quantiles=tuple(Quantile(q=q, value_s=value, low_s=None, high_s=None) for q, value in known.items()),
    )


def stated_measurement(
    engine: str,
    load: Load,
    *,
    latency: Distribution,
    service: Distribution,
    throughput_per_s: float,
    offered_per_s: float | None = None,
    requests: int | None = None,
    errors: tuple[ErrorCount, ...] = (),
    window_s: float | None = None,
    warnings: tuple[Warning, ...] = (),
) -> Measurement:
    """A measurement of figures as a tool states them; what it cannot know of client and server is absent."""
    return Measurement(
        load=load,
        latency=latency,
        service=service,
        throughput_per_s=throughput_per_s,
        offered_per_s=offered_per_s,
        requests=requests,
        errors=errors,
        window_s=window_s,
        warmup_discarded=0,
        models=(),
        split=None,
        client=None,
        warnings=warnings,
        engine=engine,
    )


def records_of(
    *,
    intended_ns: Sequence[int],
    sent_ns: Sequence[int],
    first_ns: Sequence[int],
    done_ns: Sequence[int],
    status: Sequence[int],
    window_ns: tuple[int, int],
    responses: Sequence[int] = (),
    response_ns: Sequence[int] = (),
) -> Records:
    """Records of times on the tool's own clock, in any order; the window is [first, second).

    responses, response_ns: of streamed answers only, as in Records.
    """
    order = np.argsort(np.asarray(intended_ns, np.int64), kind="stable")
    counts = np.asarray(responses, np.int64)
    begins = np.cumsum(counts) - counts
    times = [np.arange(begins[i], begins[i] + counts[i]) for i in order] if len(counts) else []
    places = np.concatenate(times).astype(np.int64) if times else np.zeros(0, np.int64)

    def column(values: Sequence[int], dtype: Any = np.int64) -> NDArray[Any]:
        return np.asarray(values, dtype)[order]

    return Records(
        intended_ns=column(intended_ns),
        sent_ns=column(sent_ns),
        first_ns=column(first_ns),
        done_ns=column(done_ns),
        status=column(status, np.int16),
        payload=np.zeros(len(order), np.int32),
        responses=counts[order].astype(np.int32) if len(counts) else np.zeros(0, np.int32),
        response_ns=np.asarray(response_ns, np.int64)[places],
        window_start_ns=window_ns[0],
        window_end_ns=window_ns[1],
        client_cpu_ns=0,
    )


def measured_point(engine: str, load: Load, records: Records, *, variant: str = "") -> ImportedPoint:
    """A point whose figures are computed from the tool's per-request times by our own metrics."""
    computed = measurement_from_records(records, load)
    measurement = replace(computed, engine=engine, client=None)
    return ImportedPoint(measurement=measurement, records=records, variant=variant)


def seconds(value: Any, unit_s: float) -> float | None:
    """A number of the unit in seconds; None where there is none."""
    return None if value is None or value == "" else float(value) * unit_s
