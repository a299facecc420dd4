"""What is soft about a container, from what the engine says of it. Pure: its inspection in, complaints out.

It reads the container as it was made, not the file that asked for it. It does not know what runs inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ROOT = ("", "0", "root")
_LOOPBACK = ("127.0.0.1", "::1")


def soft_points(inspected: Mapping[str, Any]) -> tuple[str, ...]:
    """Everything that a platform engineer would refuse of a container; empty when there is nothing."""
    return tuple(_points(inspected))


def _points(inspected: Mapping[str, Any]) -> Iterator[str]:
    config, host = inspected["Config"], inspected["HostConfig"]
    if config.get("User", "").partition(":")[0] in _ROOT:
        yield "it runs as root"
    if not host.get("ReadonlyRootfs"):
        yield "its root file system can be written"
    if host.get("Privileged"):
        yield "it is privileged"
    if "ALL" not in (host.get("CapDrop") or ()) or host.get("CapAdd"):
        yield "it has capabilities"
    if not any(option.startswith("no-new-privileges") for option in host.get("SecurityOpt") or ()):
        yield "its processes may gain privileges"
    if not host.get("Memory"):
        yield "its memory has no limit"
    for name in ("NetworkMode", "PidMode", "IpcMode"):
        if host.get(name) == "host":
            yield f"its {name} is the host's"
    yield from _mounts(inspected.get("Mounts") or ())
    yield from _ports(host.get("PortBindings") or {})


def _mounts(mounts: Any) -> Iterator[str]:
    for mount in mounts:
        if mount["Type"] == "bind" and mount["RW"]:
            yield f"{mount['Source']} of the host can be written"
        if mount["Source"].endswith("docker.sock"):
            yield "it can reach the Docker engine"


def _ports(bindings: Mapping[str, Any]) -> Iterator[str]:
    for port, bound in bindings.items():
        for place in bound or ():
            if place["HostIp"] not in _LOOPBACK:
                yield f"port {port} is open to the network at {place['HostIp'] or '0.0.0.0'}"
