"""One trial of a search on a real server: the configuration loaded, the load driven, everything kept as a step.

In: an endpoint in explicit model control, the repository that it serves, the requests. Out: for each Ask a Tried, from
the run folder where it was finished before. What a search decides is not known here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

from toolkit.environment import environment_here
from toolkit.errors import ServerTrouble
from toolkit.load.certify.store import certificate_here
from toolkit.load.engine import drive
from toolkit.load.measurement import Measurement
from toolkit.load.pattern import Concurrency
from toolkit.load.power import power_w, read_energy
from toolkit.load.request_records import Records
from toolkit.load.slo import Slo
from toolkit.load.sweep import measure_point
from toolkit.records import is_finished, read_json, step, write_json
from toolkit.serve.client import is_ready
from toolkit.serve.server import Endpoint
from toolkit.tune.batcher import latency_limit_s
from toolkit.tune.decision import Candidate
from toolkit.tune.max_rate_probe import Observation, observation_of
from toolkit.tune.search import Ask, Tried
from toolkit.workflow.evidence import TRIED
from toolkit.workflow.measure import Driving, keep_point, keep_unfinished, load_changes, trial_key

#: A request that takes so many times the tightest limit, and a second at least, is given up: it has missed for sure.
GIVE_UP, LEAST_GIVE_UP_S = 4.0, 1.0


@dataclass(kw_only=True)
class Bench:
    """A server, what is asked of it, and which configuration it has loaded. `place`: where trials lie in the run."""

    run: Path
    endpoint: Endpoint
    repository: Path
    models: tuple[str, ...]
    requests: Sequence[bytes]
    slo: Slo
    depends_on: object
    driving: Driving = field(default_factory=Driving)
    place: str = ""
    loaded: dict[str, str] = field(default_factory=dict)
    names: Counter[str] = field(default_factory=Counter)

    def measure(self, ask: Ask, number: int) -> Tried:
        """Do a trial, or read what came of the same one before. Raises KeyboardInterrupt and ServerTrouble."""
        key = self._key(ask)
        inputs = {"ask": ask, "depends_on": self.depends_on, "slo": self.slo, "environment": environment_here()}
        if not is_finished(self.run, key, inputs):
            reload_s, refused = self._apply(ask.candidate)
            step(self.run, key, inputs, lambda folder: self._try(folder, ask, reload_s, refused))
        return read_json(self.run / key / TRIED, Tried)

    def _key(self, ask: Ask) -> str:
        """The trial's folder; the same load again has a number behind it."""
        key = self.place + trial_key(ask.candidate, ask.load)
        self.names[key] += 1
        return key if self.names[key] == 1 else f"{key}-{self.names[key]}"

    def _apply(self, candidate: Candidate) -> tuple[float, str]:
        """Load what differs. Returns the seconds that took, and the server's reason if it refuses."""
        began_s = perf_counter()
        try:
            count = load_changes(self.endpoint, self.repository, candidate, self.loaded)
        except ServerTrouble as err:
            if not is_ready(self.endpoint):
                raise
            self.loaded.clear()
            return perf_counter() - began_s, err.message
        return (perf_counter() - began_s if count else 0.0), ""

    def _try(self, folder: Path, ask: Ask, reload_s: float, refused: str) -> None:
        if refused:
            empty = Observation(seen=(), outcome="INVALID", spent_s=0.0)
            write_json(folder / TRIED, Tried(ask=ask, observation=empty, reload_s=reload_s, refused=refused))
            return
        began_s, before = perf_counter(), read_energy()
        measurement, records = measure_point(
            self.endpoint,
            self.models[0],
            self.models,
            self.requests,
            ask.load,
            protocol=self.driving.protocol,
            processes=self.driving.processes,
            timeout_s=self.give_up_s,
            certificate=certificate_here(),
        )
        driven_s, after = perf_counter() - began_s, read_energy()
        keep_point(folder, measurement, records)
        keep_unfinished(folder, self.endpoint, records, self.run / "interrupted" / ask.load.name)
        self._settle(records)
        tried = tried_of(ask, measurement, records, self.slo, reload_s=reload_s, spent_s=perf_counter() - began_s)
        watts = power_w(before, after, driven_s, measurement.gpus)
        write_json(folder / TRIED, replace(tried, power_w=watts))

    @property
    def give_up_s(self) -> float:
        """After how long a request counts as missed."""
        return max(LEAST_GIVE_UP_S, GIVE_UP * (tightest_limit_s(self.slo) or 0.0))

    def _settle(self, records: Records) -> None:
        """Where requests were given up, the server still has them: ask once more and wait for the answer."""
        if not records.succeeded.all():
            drive(self.endpoint, self.requests, Concurrency(clients=1, duration_s=0.001, warmup_s=0.0))


def tightest_limit_s(slo: Slo) -> float | None:
    """The lowest limit of a latency, None where there is none."""
    return min((limit for c in slo.criteria if (limit := latency_limit_s(c)) is not None), default=None)


def tried_of(
    ask: Ask, measurement: Measurement, records: Records, slo: Slo, *, reload_s: float, spent_s: float
) -> Tried:
    """A measured point as what came of a trial."""
    quantile = next((c.quantile for c in slo.criteria if c.metric == "latency" and c.quantile), 0.99)
    known = {round(q.q, 6): q.value_s for q in measurement.latency.quantiles}
    gpus = sum(g.memory_bytes for g in measurement.gpus)
    return Tried(
        ask=ask,
        observation=observation_of(slo, measurement, records, spent_s),
        reload_s=reload_s,
        throughput_per_s=measurement.throughput_per_s,
        tail_s=known.get(round(quantile, 6), known.get(0.99)),
        splits=measurement.models,
        memory_bytes=gpus or (measurement.server.resident_bytes if measurement.server else None),
    )
