"""Measuring a candidate at a load: apply its configuration, drive the load, keep the raw records, judge.

`measure_into` writes `measurement.json` and `records.npz`; verdicts are not stored with them but computed from the
records each time they are read, so that no verdict can drift from its evidence.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.errors import ServerTrouble
from toolkit.families.family import Family
from toolkit.load.certify.store import certificate_here
from toolkit.load.connection import WireProtocol
from toolkit.load.engine import TIMEOUT_S
from toolkit.load.goodput import goodput_of, limits_of
from toolkit.load.measurement import Measurement
from toolkit.load.observation import Observation, measurement_again, observation_of
from toolkit.load.pattern import Load
from toolkit.load.request_records import Records, read_records, write_records
from toolkit.load.slo import Slo
from toolkit.load.sweep import measure_point
from toolkit.load.verdict import judge, overall
from toolkit.records import read_json, write_json
from toolkit.repository.config import to_load_json, with_overrides
from toolkit.repository.entry import read_entries
from toolkit.serve.client import load_model
from toolkit.serve.server import Endpoint
from toolkit.tune.decision import Candidate, Point, Trial
from toolkit.workflow.requests import read_requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Driving:
    """How load is driven: what is spoken, by how many processes, and how long a request may take, in seconds."""

    protocol: WireProtocol = "http"
    processes: int = 1
    timeout_s: float = TIMEOUT_S


def driving_of(family: Family | None, driving: Driving | None = None) -> Driving:
    """How an entry of a family is driven: as asked for, but in streams where the family is asked in these."""
    driving = driving or Driving()
    if family is None or family.asking is None:
        return driving
    protocol = driving.protocol if driving.protocol == "grpc-stream" else family.asking.protocol
    return replace(driving, protocol=protocol, timeout_s=max(driving.timeout_s, family.asking.timeout_s))


MEASUREMENT, RECORDS, OBSERVATION = "measurement.json", "records.npz", "observation.json"


def configurations(repository: Path) -> dict[str, str]:
    """By entry the configuration that a server which has just been started on the repository has, as it is loaded."""
    return {entry.name: to_load_json(entry.config) for entry in read_entries(repository)}


def load_changes(endpoint: Endpoint, repository: Path, candidate: Candidate, loaded: dict[str, str]) -> int:
    """Load the entries whose configuration differs from what `loaded` says, pipelines last. Returns how many.

    An entry that the candidate does not name goes back to its own file's. loaded: by entry what the server has, kept up
    to date; empty where that is not known. Raises ServerTrouble with the server's reason.
    """
    changed = 0
    for entry in sorted(read_entries(repository), key=lambda e: e.config.is_ensemble):
        text = to_load_json(with_overrides(entry.config, candidate.config.get(entry.name, {})))
        if loaded.get(entry.name) != text:
            load_model(endpoint, entry.name, text)
            loaded[entry.name] = text
            changed += 1
    return changed


def trial_key(candidate: Candidate, load: Load) -> str:
    """Where a point lies in its run folder."""
    return f"trials/{candidate.name}/{load.name}"


def drift_key(load: Load) -> str:
    """Where the point lies that is measured again at the end of a sweep."""
    return f"drift/{load.name}"


def measure_into(
    folder: Path,
    endpoint: Endpoint,
    models: Sequence[str],
    requests: Path,
    load: Load,
    *,
    driving: Driving,
    interrupted: Path,
) -> None:
    """Drive one load point and write its measurement and raw records into `folder`.

    models: the measured model first, then those it is composed of. requests: the folder that `write_requests` wrote.
    A point that did not run to its end is kept in the folder `interrupted`, and raises KeyboardInterrupt after Ctrl-C
    or ServerTrouble when the server is gone.
    """
    measurement, records = measure_point(
        endpoint,
        models[0],
        models,
        read_requests(requests),
        load,
        protocol=driving.protocol,
        processes=driving.processes,
        timeout_s=driving.timeout_s,
        certificate=certificate_here(),
    )
    keep_point(folder, measurement, records)
    keep_unfinished(folder, endpoint, records, interrupted / load.name)


def keep_point(folder: Path, measurement: Measurement, records: Records) -> None:
    """Write a point: its measurement, and what it can be computed from again."""
    write_json(folder / MEASUREMENT, measurement)
    write_records(folder / RECORDS, records)
    write_json(folder / OBSERVATION, observation_of(measurement, records))


def keep_unfinished(folder: Path, endpoint: Endpoint, records: Records, place: Path) -> None:
    """Keep a point that did not run to its end in `place`, and raise what ended it."""
    if records.ended != "complete":
        shutil.copytree(folder, place, dirs_exist_ok=True)
        if records.ended == "interrupted":
            raise KeyboardInterrupt
        raise ServerTrouble(
            f"the server at {endpoint.http} is gone; {len(records.status)} requests of this point are kept in {place}",
            mend="run the same command with --resume: finished points are not measured again",
        )


#: How the point in a folder is read, at a load, to be judged by an SLO.
ReadPoint = Callable[[Path, Slo, Load], Point]


def read_point(folder: Path, slo: Slo, load: Load) -> Point:
    """A measured point with its verdicts and its goodput, computed from its records."""
    measurement = read_json(folder / MEASUREMENT, Measurement)
    # Without a criterion nothing is asked of the records, which an imported result may not have.
    return _judged(measurement, read_records(folder / RECORDS) if slo.criteria else None, slo)


def computed_point(folder: Path, slo: Slo, load: Load) -> Point:
    """The point computed from its records and observation alone; nothing that was written of it is read."""
    records = read_records(folder / RECORDS)
    return _judged(measurement_again(records, load, read_json(folder / OBSERVATION, Observation)), records, slo)


def _judged(measurement: Measurement, records: Records | None, slo: Slo) -> Point:
    if records is None or not slo.criteria:
        return Point(measurement=measurement, verdicts=(), outcome=overall((), measurement))
    verdicts = judge(slo, measurement, records)
    measurement = replace(measurement, goodput=goodput_of(limits_of(slo), records))
    return Point(measurement=measurement, verdicts=verdicts, outcome=overall(verdicts, measurement))


def read_trials(
    run: Path, slo: Slo, candidates: Sequence[Candidate], loads: Sequence[Load], *, read: ReadPoint = read_point
) -> tuple[Trial, ...]:
    """The trials of a run folder, as far as they were measured, in the order of the candidates and loads."""
    trials = []
    for candidate in candidates:
        folders = [(run / trial_key(candidate, load), load) for load in loads]
        points = tuple(read(f, slo, load) for f, load in folders if (f / MEASUREMENT).is_file())
        if points:
            trials.append(Trial(candidate=candidate, points=points))
    return tuple(trials)
