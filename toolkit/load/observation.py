"""What a measurement holds that its records do not: the server's own statistics, the machine's, who drove the load.

In: a measurement with its records, once, when it is made. Out: an Observation, kept beside the records; and from both
of them the measurement again, figure by figure. So whoever audits a figure need not trust what was written of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from toolkit.load.measurement import (
    Certificate,
    GpuUse,
    Measurement,
    ModelSplit,
    ProcessUse,
    ServerMetrics,
    Warning,
)
from toolkit.load.metrics import measurement_from_records, time_split
from toolkit.load.pattern import Load
from toolkit.load.request_records import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was seen besides the requests. `statistics_ns`: when the two snapshots of the statistics were taken.

    `before` and `after` are warnings that do not follow from the records, in their order around those that do.
    """

    models: tuple[ModelSplit, ...] = ()
    statistics_ns: tuple[int, int] | None = None
    server: ProcessUse | None = None
    gpus: tuple[GpuUse, ...] = ()
    server_metrics: ServerMetrics | None = None
    cpu_throttled_s: float = 0.0
    certificate: Certificate | None = None
    engine: str = "toolkit"
    has_client: bool = True
    before: tuple[Warning, ...] = ()
    after: tuple[Warning, ...] = ()


def observation_of(measurement: Measurement, records: Records) -> Observation:
    """What of a measurement does not follow from its records."""
    found = Observation(
        models=measurement.models,
        statistics_ns=measurement.statistics_ns,
        server=measurement.server,
        gpus=measurement.gpus,
        server_metrics=measurement.server_metrics,
        cpu_throttled_s=measurement.cpu_throttled_s,
        certificate=measurement.certificate,
        engine=measurement.engine,
        has_client=measurement.client is not None,
    )
    computed = measurement_again(records, measurement.load, found).warnings
    told = measurement.warnings
    place = next((i for i in range(len(told) + 1) if told[i : i + len(computed)] == computed), len(told))
    return replace(found, before=told[:place], after=told[place + len(computed) :])


def measurement_again(records: Records, load: Load, observation: Observation) -> Measurement:
    """The measurement from its records and what was seen besides them."""
    models, span = observation.models, observation.statistics_ns
    split = time_split(records, models, *span) if models and span else None
    computed = measurement_from_records(records, load, models=models, split=split)
    return replace(
        computed,
        warnings=(*observation.before, *computed.warnings, *observation.after),
        client=computed.client if observation.has_client else None,
        engine=observation.engine,
        server=observation.server,
        gpus=observation.gpus,
        server_metrics=observation.server_metrics,
        cpu_throttled_s=observation.cpu_throttled_s,
        certificate=observation.certificate,
        statistics_ns=span,
    )
