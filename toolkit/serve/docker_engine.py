"""The Docker engine of this machine: whether it answers, what its refusals mean, and what of ours was left on it.

In: nothing, or an image's name. Out: the Docker SDK's client, images, and errors with the command that mends them. It
does not know what a container will serve.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import EnvironmentProblem, UsageError
from toolkit.extras import require

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

SOCKET = "/var/run/docker.sock"
#: Labels of everything that we start: which start it belongs to, and the process that answers for it.
SESSION_LABEL, OWNER_LABEL = "poc-toolkit.session", "poc-toolkit.owner"
TIMEOUT_S = 60
START = "sudo systemctl start docker"

#: What the engine says, in part, and what to do about it.
MENDS = {
    "no space left on device": "docker system df shows what takes the space; docker system prune frees some",
    "port is already allocated": "choose another port with --http-port, --grpc-port and --metrics-port",
    "address already in use": "choose another port with --http-port, --grpc-port and --metrics-port",
    "could not select device driver": "install the NVIDIA Container Toolkit, or serve without: --gpus none",
    "nvidia-container-cli": "nvidia-smi shows whether the driver works; or serve without: --gpus none",
    "executable file not found": "name an image that holds tritonserver: --image",
    "permission denied": "check who may read the path",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A container of ours whose process is gone."""

    id: str
    name: str
    status: str


def engine_socket() -> str:
    """The path of the engine's Unix socket. Raises EnvironmentProblem for an engine of another machine."""
    host = os.environ.get("DOCKER_HOST", f"unix://{SOCKET}")
    if not host.startswith("unix://"):
        raise EnvironmentProblem(
            f"DOCKER_HOST={host}: containers there see neither the files of this machine nor its loopback",
            mend="unset DOCKER_HOST, or run the toolkit on that machine",
        )
    return host.removeprefix("unix://")


def connect() -> DockerClient:
    """The SDK's client of an engine that answers. Raises MissingDependency or EnvironmentProblem."""
    docker = require("docker")
    place = engine_socket()
    try:
        client: DockerClient = docker.DockerClient(base_url=f"unix://{place}", timeout=TIMEOUT_S, version="auto")
    except docker.errors.DockerException as err:
        raise _no_engine(place, err) from err
    return client


def _no_engine(place: str, err: Exception) -> EnvironmentProblem:
    if not Path(place).exists():
        return EnvironmentProblem(
            f"no Docker engine listens at {place}",
            mend=f"{START}; where it is not installed: sudo apt-get install docker.io",
        )
    if not os.access(place, os.W_OK):
        return EnvironmentProblem(
            f"{place} may not be used by this user", mend='sudo usermod -aG docker "$USER", then log in again'
        )
    return EnvironmentProblem(
        f"the Docker engine at {place} does not answer: {err}", mend="sudo systemctl start docker"
    )


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn the engine's refusals below into EnvironmentProblem with a mend. `what` begins the message."""
    docker, requests = require("docker"), require("requests")
    try:
        yield
    except docker.errors.ImageNotFound as err:
        raise EnvironmentProblem(f"{what}: {err.explanation}", mend="docker images shows those that are here") from err
    except docker.errors.APIError as err:
        raise refusal(what, str(err.explanation or err)) from err
    except requests.exceptions.RequestException as err:
        raise EnvironmentProblem(
            f"{what}: the Docker engine is gone: {err}", mend="sudo systemctl status docker"
        ) from err


def refusal(what: str, words: str, *, mend: str = "look at docker info, and at the engine's log") -> EnvironmentProblem:
    """What the engine refused, in its own words, with the mend that they ask for, else with `mend`."""
    known = next((remedy for part, remedy in MENDS.items() if part in words.lower()), mend)
    return EnvironmentProblem(f"{what}: {words.strip()}", mend=known)


def image_here(client: DockerClient, name: str, *, mend: str) -> Image:
    """An image that is on this machine; none is pulled. Raises EnvironmentProblem with `mend` when it is not."""
    docker = require("docker")
    with asking(f"image {name}"):
        try:
            return client.images.get(name)
        except docker.errors.ImageNotFound as err:
            raise EnvironmentProblem(f"the image {name} is not on this machine", mend=mend) from err


def labels_of(session: str) -> dict[str, str]:
    """The labels of everything that this process starts under a session's name."""
    return {SESSION_LABEL: session, OWNER_LABEL: f"{os.getpid()}-{_began(os.getpid())}"}


def left_containers(client: DockerClient) -> tuple[Left, ...]:
    """The containers of ours whose process is gone: what a power cut or a killed guard leaves."""
    with asking("looking for containers"):
        found = client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
    return tuple(
        Left(id=container.short_id, name=container.name, status=container.status)
        for container in found
        if not _lives(container.labels)
    )


def _lives(labels: Mapping[str, str]) -> bool:
    pid, _, began = labels.get(OWNER_LABEL, "").partition("-")
    return pid.isdigit() and began != "" and _began(int(pid)) == began


def _began(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty when there is none. Tells a reused process id apart."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def bytes_from_text(option: str, text: str) -> int:
    """The bytes of a size as Docker writes it, "512m" or "4g". Raises UsageError."""
    docker = require("docker")
    try:
        return int(docker.utils.parse_bytes(text))
    except docker.errors.DockerException as err:
        raise UsageError(f"{option} '{text}' is not a size", mend="write it as 512m or 4g") from err


def environment_of(image: Any) -> dict[str, str]:
    """The environment variables that an image sets."""
    return dict(line.split("=", 1) for line in image.attrs["Config"].get("Env") or () if "=" in line)
