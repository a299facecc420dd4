"""What is soft about a container, from inspections that differ in one point from a hard one."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from toolkit.deploy.hardening import soft_points

HARD: dict[str, Any] = {
    "Config": {"User": "1000:1000"},
    "HostConfig": {
        "ReadonlyRootfs": True,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": None,
        "SecurityOpt": ["no-new-privileges:true"],
        "Memory": 1 << 30,
        "NetworkMode": "bundle_default",
        "PidMode": "",
        "IpcMode": "private",
        "PortBindings": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}]},
    },
    "Mounts": [
        {"Type": "bind", "Source": "/bundle/model_repository", "RW": False},
        {"Type": "volume", "Source": "/var/lib/docker/volumes/prometheus/_data", "RW": True},
    ],
}


def test_a_hardened_container_has_no_soft_point() -> None:
    assert soft_points(HARD) == ()


@pytest.mark.parametrize(
    ("part", "change", "point"),
    [
        ("Config", {"User": ""}, "runs as root"),
        ("Config", {"User": "0:1000"}, "runs as root"),
        ("HostConfig", {"ReadonlyRootfs": False}, "can be written"),
        ("HostConfig", {"Privileged": True}, "privileged"),
        ("HostConfig", {"CapDrop": None}, "capabilities"),
        ("HostConfig", {"CapAdd": ["SYS_ADMIN"]}, "capabilities"),
        ("HostConfig", {"SecurityOpt": None}, "gain privileges"),
        ("HostConfig", {"Memory": 0}, "no limit"),
        ("HostConfig", {"NetworkMode": "host"}, "NetworkMode is the host's"),
        ("HostConfig", {"PidMode": "host"}, "PidMode is the host's"),
        ("HostConfig", {"PortBindings": {"8000/tcp": [{"HostIp": "", "HostPort": "1"}]}}, "0.0.0.0"),
        ("Mounts", [{"Type": "bind", "Source": "/etc", "RW": True}], "/etc of the host can be written"),
        ("Mounts", [{"Type": "bind", "Source": "/var/run/docker.sock", "RW": False}], "reach the Docker engine"),
    ],
)
def test_each_soft_point_is_named(part: str, change: Any, point: str) -> None:
    inspected = copy.deepcopy(HARD)
    inspected[part] = inspected[part] | change if isinstance(change, dict) else change
    (found,) = soft_points(inspected)
    assert point in found
