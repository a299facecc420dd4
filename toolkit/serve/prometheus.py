"""What a Prometheus answers: whether it is ready, its rules, and the value of an expression.

In: its address. Out: plain values. Source: prometheus.io/docs/prometheus/latest/querying/api.
"""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from toolkit.errors import ServerTrouble

TIMEOUT_S = 10.0


def prometheus_is_ready(address: str) -> bool:
    """Whether it serves queries; one that does not answer is not ready."""
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def loaded_alerts(address: str) -> dict[str, str]:
    """Every alerting rule that is loaded, and its health: "ok", "unknown" before its first evaluation, or "err"."""
    groups = _get(address, "/api/v1/rules?type=alert")["groups"]
    return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}


def values_of(address: str, expression: str) -> tuple[float, ...]:
    """The finite values of an instant query, one for each series. Raises ServerTrouble for a query it refuses."""
    result = _get(address, f"/api/v1/query?query={urllib.parse.quote(expression, safe='')}")
    found = [result["result"]] if result["resultType"] == "scalar" else [s["value"] for s in result["result"]]
    return tuple(value for _, text in found if math.isfinite(value := float(text)))


def _get(address: str, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=TIMEOUT_S) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as err:
        words = err.read().decode(errors="replace")
        raise ServerTrouble(f"Prometheus at {address} refuses {path}: {words}", mend="promtool check rules") from err
    except (OSError, ValueError) as err:
        raise ServerTrouble(f"Prometheus at {address} does not answer: {err}", mend="look at its log") from err
