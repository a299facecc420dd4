"""How large, how many, how soon: what a run measured of a replica, and the settings that follow, each with its reason.

In: a DeploymentSpec. Out: Settings. A figure of the run is used only where it was measured on the target; otherwise the
setting is a conservative default that says so, with the command that measures it there. Pure arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.deploy.spec import DeploymentSpec

NOT_MEASURED = "not measured on the target"
DEFAULT = f"a conservative default, {NOT_MEASURED}"

#: Two, so that one may go away; see Assumptions in the bundle's README.
_REPLICAS = 2
#: Long enough for an engine to be built or a repository of some GB to be read from a slow disk.
_STARTUP_S = 600
#: What another disk, a busy node and a cold page cache may take of a measured start.
_STARTUP_MARGIN, _STARTUP_AT_LEAST_S = 5, 60
#: What arenas and fragmentation may add to the memory that was seen.
_MEMORY_MARGIN = 1.5
#: Without a measured queue: a share of the SLO's latency limit, or a time that interactive callers do not notice.
_QUEUE_SHARE, _QUEUE_US = 0.1, 10_000
#: A queue that is shorter than this is noise, and would scale on it.
_QUEUE_AT_LEAST_US = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """What a run says of one replica, None where it does not.

    `run_id`: the run itself. `queue_us`: time in all queues per request of the measured model, at the chosen point.
    `load_s`: the longest load of all models. `resident_bytes`: the most that the server's processes took. `replicas`:
    those of plan.json, for `planned_rate_per_s`.
    """

    run_id: str = ""
    queue_us: float | None = None
    load_s: float | None = None
    resident_bytes: int | None = None
    replicas: int | None = None
    planned_rate_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A whole number, and where it comes from in one line."""

    value: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a deployment: counts, seconds, bytes and microseconds."""

    replicas: Setting
    most_replicas: Setting
    startup_s: Setting
    memory_bytes: Setting
    shm_bytes: Setting
    queue_us: Setting


def settings_of(spec: DeploymentSpec) -> Settings:
    """The settings of a deployment, from what was measured on its target or from conservative defaults."""
    replicas = _replicas(spec)
    return Settings(
        replicas=replicas,
        most_replicas=Setting(
            value=2 * replicas.value, note="twice as many, an assumption; what the quota and the budget allow"
        ),
        startup_s=_startup(spec),
        memory_bytes=_memory(spec),
        shm_bytes=Setting(value=spec.shm_bytes, note=f"{DEFAULT}; Python stubs pass tensors through it"),
        queue_us=_queue(spec),
    )


def _replicas(spec: DeploymentSpec) -> Setting:
    planned = spec.sizing.replicas
    if planned is not None and spec.is_measured_on_target:
        rate = spec.sizing.planned_rate_per_s
        return Setting(
            value=planned, note=f"run {spec.sizing.run_id}: the plan for {rate:,.0f} requests/s, a spare included"
        )
    return Setting(value=_REPLICAS, note=f"{DEFAULT}; toolkit size RUN --rate R plans it from a run there")


def _startup(spec: DeploymentSpec) -> Setting:
    load_s = spec.sizing.load_s
    if load_s is not None and spec.is_measured_on_target:
        value = max(round(_STARTUP_MARGIN * load_s), _STARTUP_AT_LEAST_S)
        return Setting(
            value=value, note=f"run {spec.sizing.run_id}: loading took {load_s:.1f} s; {value} s are allowed"
        )
    how = "kubectl get events shows what a start took"
    return Setting(value=_STARTUP_S, note=f"{DEFAULT}; {how}")


def _memory(spec: DeploymentSpec) -> Setting:
    resident = spec.sizing.resident_bytes
    if resident is not None and spec.is_measured_on_target:
        value = round(_MEMORY_MARGIN * resident) + spec.shm_bytes
        seen = f"run {spec.sizing.run_id}: the server took {resident / 2**20:,.0f} MiB"
        return Setting(value=value, note=f"{seen}; half as much again, and the shared memory")
    value = spec.memory_bytes
    how = "kubectl top pod --containers shows what a load takes"
    return Setting(value=value, note=f"{DEFAULT}; {how}")


def _queue(spec: DeploymentSpec) -> Setting:
    measured = spec.sizing.queue_us
    if measured is not None and spec.is_measured_on_target:
        value = max(round(measured), _QUEUE_AT_LEAST_US)
        return Setting(value=value, note=f"run {spec.sizing.run_id}: {measured:,.0f} us at the recommended load")
    limits_s = [c.limit for c in spec.slo.criteria if c.metric == "latency"]
    value = round(_QUEUE_SHARE * min(limits_s) * 1e6) if limits_s else _QUEUE_US
    source = "a tenth of the SLO's latency limit" if limits_s else "the SLO has no latency limit"
    how = "toolkit sweep MODEL --url URL shows the queue at each load"
    return Setting(value=max(value, _QUEUE_AT_LEAST_US), note=f"{DEFAULT}: {source}; {how}")
