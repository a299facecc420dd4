"""The Report: everything that one run says, as one value; report.json is that value.

In: values of the earlier stages. Out: `Report`, written and read as a versioned document.
This module does not know how a figure is drawn or worded, and computes none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from toolkit.artifact import Artifact
from toolkit.environment import Environment
from toolkit.export.parity import LiveParity, ParityResult, TaskResult
from toolkit.index.recall import IndexRecall
from toolkit.load.drift import Drift
from toolkit.load.measurement import Measurement
from toolkit.load.slo import Slo
from toolkit.records import SCHEMA, read_json, to_data, write_json
from toolkit.size.plan import CapacityPlan, PlanOmitted
from toolkit.size.roofline import ModelRoofline
from toolkit.tune.decision import Decision, Point, Trial, ranked
from toolkit.tune.tuned import TracePoint

FILE = "report.json"
CPU_MARK = "Measured on a CPU; not a statement about a GPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStep:
    """One repository entry of what was measured: its backend and what it does, in the customer's words."""

    name: str
    backend: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportParity:
    """The exported model `artifact` compared with the customer's original."""

    artifact: str
    result: ParityResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """One figure of merit that the PoC's own code computed, for each system that it compares; higher is better."""

    metric: str
    values: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleWritten:
    """The deployment bundle's folder, relative to the run folder."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleOmitted:
    """Why the run has no deployment bundle."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one run measured and decided. `created` is UTC in ISO 8601.

    `pipeline` says in a sentence what one request does; `steps` are the entries it passes, in order.
    `drift` compares the first point of a sweep with the same one at its end. `remote` is the address of a server on
    another machine, whose hardware is not known; `environment` is the load generator's then.
    `quality` compares the customer's models with others, `index_recall` each served index with exact search.
    `accuracy` is the task metric of the original (reference) and through the server (answers).
    `sizing` is the plan for a demand, or why there is none; None where no demand was given.
    `search` is how a search went, trial by trial.
    `rooflines` hold each exported model against what machines allow by arithmetic.
    `evidence_sha256` is over the digests of all files that figures were computed from, as the manifest keeps them.
    """

    title: str
    poc: str
    family: str
    run: str
    created: str
    environment: Environment
    decision: Decision
    slo: Slo
    trials: tuple[Trial, ...]
    artifacts: tuple[Artifact, ...] = ()
    export_parity: tuple[ExportParity, ...] = ()
    live_parity: LiveParity | None = None
    drift: Drift | None = None
    remote: str = ""
    accuracy: TaskResult | None = None
    quality: tuple[Quality, ...] = ()
    index_recall: tuple[IndexRecall, ...] = ()
    pipeline: str = ""
    steps: tuple[PipelineStep, ...] = ()
    not_shown: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    versions: dict[str, str]
    seeds: dict[str, int]
    bundle: BundleWritten | BundleOmitted
    sizing: CapacityPlan | PlanOmitted | None = None
    rooflines: tuple[ModelRoofline, ...] = ()
    search: tuple[TracePoint, ...] = ()
    evidence_sha256: str = ""

    @property
    def device_mark(self) -> str:
        """What every figure of this report carries when it comes from a CPU; empty for a GPU."""
        return CPU_MARK if self.environment.device == "CPU" and not self.remote else ""

    @property
    def leader(self) -> tuple[Trial, Point] | None:
        """The point that page one is about: the chosen one, else the nearest to the SLO; None without a valid one."""
        return next(iter(ranked(self.trials)), None)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """Every load point of every candidate."""
        return tuple(point.measurement for trial in self.trials for point in trial.points)


def report_json(report: Report) -> str:
    """The text of report.json on one line, for embedding."""
    return json.dumps({"schema": SCHEMA} | to_data(report), ensure_ascii=False, allow_nan=False)


def write_report(path: Path, report: Report) -> None:
    """Write report.json. Raises EnvironmentProblem when the disk refuses."""
    write_json(path, report)


def read_report(path: Path) -> Report:
    """Read a report.json back. Raises ConfigurationError for another schema or a document that is not one."""
    return read_json(path, Report)
