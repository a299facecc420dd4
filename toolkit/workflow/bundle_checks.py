"""What is asked of a bundle that runs: smoke test, closed APIs, hardening, alerts, every query of the dashboard.

In: a Stack. Out: a Check each; what fails is a value, not an exception. Nothing here starts or stops anything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.deploy.hardening import soft_points
from toolkit.errors import ServerTrouble
from toolkit.records import read_yaml
from toolkit.serve.prometheus import loaded_alerts, values_of
from toolkit.tune.words import verdict_text
from toolkit.workflow.bundle_load import SloTest
from toolkit.workflow.bundle_stack import Stack

State = Literal["ok", "failed", "undecided", "skipped", "told"]

SMOKE_TIMEOUT_S = 300
#: Two scrapes make a rate, and a missed one is not yet a failure: prometheus.yml scrapes every 15 s.
DATA_TIMEOUT_S = 90.0
POLL_S = 1.0
DASHBOARD = "observability/grafana/dashboards/triton.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one check found. `told` is information, `skipped` says what was not tried and why."""

    name: str
    outcome: State
    text: str


def check_hardening(stack: Stack, services: tuple[str, ...]) -> Check:
    """Every container as the engine made it, not as the file asked."""
    soft = []
    for service in services:
        container = stack.container(service)
        soft += [f"{service}: {point}" for point in (soft_points(container.attrs) if container else ("it is gone",))]
    text = "no root, no capabilities, read-only, limited memory, loopback only: " + ", ".join(services)
    return Check(name="hardening", outcome="failed" if soft else "ok", text="; ".join(soft) or text)


def check_smoke(bundle: Path, address: str) -> Iterator[Check]:
    """The bundle's own smoke test, run as its reader runs it: a check for each of its lines."""
    command = (sys.executable, "-I", str(bundle / "smoke" / "smoke.py"), "--url", f"http://{address}", "--wait", "10")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SMOKE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        yield Check(name="smoke test", outcome="failed", text=f"it does not end within {SMOKE_TIMEOUT_S} s")
        return
    for line in done.stdout.splitlines():
        state, _, rest = line.partition(" ")
        name, _, text = rest.strip().partition(" ")
        yield Check(name=f"smoke: {name}", outcome="ok" if state == "ok" else "failed", text=text.strip())
    if done.returncode and "FAILED" not in done.stdout:
        yield Check(name="smoke test", outcome="failed", text=done.stderr.strip().rpartition("\n")[2])


def check_closed_apis(address: str) -> Check:
    """The APIs that change a server must refuse whoever has no key."""
    paths = {"/v2/repository/index": "POST", "/v2/systemsharedmemory/status": "GET", "/v2/logging": "GET"}
    open_paths = [path for path, method in paths.items() if _status(address, method, path) != 403]
    text = "model repository, shared memory and log settings refuse whoever has no key"
    failed = f"open to everybody: {', '.join(open_paths)}"
    return Check(name="closed APIs", outcome="failed" if open_paths else "ok", text=failed if open_paths else text)


def _status(address: str, method: str, path: str) -> int:
    request = urllib.request.Request(f"http://{address}{path}", method=method, data=b"{}" if method == "POST" else None)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as err:
        return err.code
    except OSError:
        return 0


def check_slo(test: SloTest) -> Check:
    """The verdict of the SLO test in words."""
    states: dict[str, State] = {"PASS": "ok", "FAIL": "failed"}
    offered = f"{test.outcome} at {test.rate_per_s:,.4g} requests/s offered (poisson; {test.why_rate})"
    reasons = [*map(verdict_text, test.verdicts), *(f"{w.kind}: {w.text}" for w in test.measurement.warnings)]
    if not test.verdicts:
        return Check(name="SLO", outcome="told", text=f"{offered}; the bundle has no SLO")
    return Check(name="SLO", outcome=states.get(test.outcome, "undecided"), text="; ".join((offered, *reasons)))


def check_rules(bundle: Path, address: str) -> Check:
    """Every alert of the bundle must be loaded and evaluated without an error."""
    groups = read_yaml(bundle / "observability" / "prometheus" / "rules.yml")["groups"]
    wanted = {rule["alert"] for group in groups for rule in group["rules"]}
    deadline = time.monotonic() + DATA_TIMEOUT_S
    loaded = loaded_alerts(address)
    while "unknown" in loaded.values() and time.monotonic() < deadline:
        time.sleep(POLL_S)
        loaded = loaded_alerts(address)
    bad = [f"{name} is {loaded.get(name, 'not loaded')}" for name in sorted(wanted) if loaded.get(name) != "ok"]
    text = f"{len(wanted)} alerts are loaded and evaluated"
    return Check(name="alerts", outcome="failed" if bad else "ok", text="; ".join(bad) or text)


def check_dashboard(bundle: Path, address: str, *, gpu: bool) -> Check:
    """Every query of every panel must return a number from what Prometheus scraped here; of GPUs only with one."""
    panels = json.loads((bundle / DASHBOARD).read_text(encoding="utf-8"))["panels"]
    queries = {f"{p['title']}: {t['legendFormat']}": t["expr"] for p in panels for t in p["targets"]}
    tried = {name: query for name, query in queries.items() if gpu or "nv_gpu_" not in query}
    empty = dict(tried)
    deadline = time.monotonic() + DATA_TIMEOUT_S
    try:
        while empty := {name: query for name, query in empty.items() if not values_of(address, query)}:
            if time.monotonic() > deadline:
                text = f"no data after {DATA_TIMEOUT_S:g} s from: {'; '.join(empty)}"
                return Check(name="dashboard", outcome="failed", text=text)
            time.sleep(POLL_S)
    except ServerTrouble as err:
        return Check(name="dashboard", outcome="failed", text=err.message)
    left_out = f"; {len(queries) - len(tried)} of GPUs were not tried" if len(tried) < len(queries) else ""
    return Check(name="dashboard", outcome="ok", text=f"all {len(tried)} queries return data{left_out}")


def check_health(stack: Stack, services: tuple[str, ...]) -> Check:
    """The health checks of the compose file itself must have said healthy."""
    states = {}
    for service in services:
        container = stack.container(service)
        states[service] = container.attrs["State"].get("Health", {}).get("Status", "unknown") if container else "gone"
    bad = [f"{service} is {state}" for service, state in states.items() if state != "healthy"]
    text = f"healthy by their own checks: {', '.join(services)}"
    return Check(name="health checks", outcome="failed" if bad else "ok", text="; ".join(bad) or text)
