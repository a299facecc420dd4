"""`toolkit sweep --scenario`: one of MLPerf's scenarios by LoadGen as a point of a run, its logs kept in its folder.

The point lies where its load would lie, so decision and report take it for what it is: requests with their records.
What LoadGen made of them stands beside in SCENARIO.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.environment import environment_here
from toolkit.load.certify.store import certificate_here
from toolkit.load.loadgen import ScenarioResult, run_scenario
from toolkit.load.loadgen_scenario import Scenario
from toolkit.load.verdict import Outcome
from toolkit.records import read_json, write_json
from toolkit.serve.server import Endpoint
from toolkit.tune.decision import Candidate
from toolkit.workflow.jobs import Job
from toolkit.workflow.measure import Driving, keep_point, keep_unfinished, trial_key
from toolkit.workflow.requests import read_requests

SCENARIO = "scenario.json"


def scenario_job(
    run: Path, models: Sequence[str], candidate: Candidate, scenario: Scenario, *, depends_on: object, driving: Driving
) -> Job:
    """The job that runs a scenario with the requests of a run; arguments as in `trial_jobs`."""

    def do(endpoint: Endpoint, folder: Path) -> None:
        scenario_into(folder, endpoint, models, run / "requests", scenario, driving=driving, root=run / "interrupted")

    inputs = {"depends_on": depends_on, "environment": environment_here(), "protocol": driving.protocol}
    return Job(
        key=trial_key(candidate, scenario.load),
        inputs=inputs | {"candidate": candidate, "scenario": scenario},
        text=f"LoadGen's {type(scenario).__name__} scenario",
        do=do,
    )


def scenario_into(
    folder: Path,
    endpoint: Endpoint,
    models: Sequence[str],
    requests: Path,
    scenario: Scenario,
    *,
    driving: Driving,
    root: Path,
) -> None:
    """Run a scenario and write its logs, records, measurement and SCENARIO into `folder`; else as `measure_into`."""
    result, measurement, records = run_scenario(
        endpoint,
        models[0],
        models,
        read_requests(requests),
        scenario,
        folder,
        protocol=driving.protocol,
        certificate=certificate_here(),
    )
    keep_point(folder, measurement, records)
    write_json(folder / SCENARIO, result)
    keep_unfinished(folder, endpoint, records, root / scenario.load.name)


def scenario_of(run: Path, candidate: Candidate, scenario: Scenario) -> ScenarioResult:
    """What LoadGen made of the scenario of a finished run."""
    return read_json(run / trial_key(candidate, scenario.load) / SCENARIO, ScenarioResult)


def outcome_with(result: ScenarioResult, outcome: Outcome) -> Outcome:
    """The outcome against the SLO, which is no PASS where LoadGen did not find its own run valid."""
    return "UNDECIDED" if outcome == "PASS" and not result.is_valid else outcome
