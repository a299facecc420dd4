"""Triton in a container of this machine's Docker engine, serving a repository as it is, hardened and on the loopback.

In: a model repository, an image that is here, and what the container may use. Out: a DockerServer that is ready, or an
error that says why not. It neither chooses nor pulls images, and does not know what is in the entries.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import ServerTrouble, UsageError
from toolkit.extras import require
from toolkit.serve import client as triton
from toolkit.serve import log as triton_log
from toolkit.serve.docker_engine import SESSION_LABEL, asking, connect, engine_socket, image_here, labels_of
from toolkit.serve.docker_guard import Guard
from toolkit.serve.docker_server import DockerServer
from toolkit.serve.embedded import READY_TIMEOUT_S, check_port, check_repository
from toolkit.serve.launcher import EXIT_TIMEOUT_S
from toolkit.serve.server import HOST, Endpoint

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

#: Triton's ports inside the container: HTTP, gRPC, metrics.
PORTS = ("8000/tcp", "8001/tcp", "8002/tcp")
#: Who runs in the container: whoever asked, so that the files are readable; never root.
USER = 1000
POLL_S = 0.1
LAST_WORDS_S = 0.3
PIDS = 4096
MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """What a container is made of. `gpus` is "none", "all", or indexes and UUIDs with commas between.

    `memory_bytes` is the container's limit and includes the shared memory; None sets no limit.
    """

    image: str
    gpus: str = "none"
    memory_bytes: int | None = None
    shm_bytes: int = 256 * MIB

    def __post_init__(self) -> None:
        if self.shm_bytes <= 0 or (self.memory_bytes is not None and self.memory_bytes <= self.shm_bytes):
            raise UsageError(
                f"shared memory of {self.shm_bytes} bytes does not fit into {self.memory_bytes}",
                mend="give more with --memory, or less to --shm",
            )


def serve_docker(
    repository: Path,
    spec: ContainerSpec,
    *,
    models: tuple[str, ...] | None = None,
    http_port: int | None = None,
    grpc_port: int | None = None,
    metrics_port: int | None = None,
    mend_image: str = "docker pull IMAGE",
    timeout_s: float = READY_TIMEOUT_S,
) -> DockerServer:
    """Start a container and return its server when it and every model asked for are ready.

    `models` and the ports are those of `serve_embedded`. `mend_image` is what to do when the image is not here.
    Raises MissingDependency or EnvironmentProblem for an absent SDK, engine, image or GPU driver, a full disk or a port
    in use; RepositoryError for a repository or entry that is not there; ServerTrouble when the server ends or is not
    ready in time, with the end of its log.
    """
    check_repository(repository, models)
    for port in (http_port, grpc_port, metrics_port):
        check_port(port)
    docker = connect()
    image_here(docker, spec.image, mend=mend_image)
    name = f"poc-toolkit-{os.getpid()}-{secrets.token_hex(4)}"
    guard = Guard(engine_socket(), f"{SESSION_LABEL}={name}")
    try:
        container = _run(docker, spec, name, _command(name, models), repository, (http_port, grpc_port, metrics_port))
        server = DockerServer(endpoint=_endpoint(container), name=name, container=container, guard=guard)
        _wait_until_ready(server, repository, timeout_s)
    except BaseException:
        guard.release()
        raise
    return server


def _command(name: str, models: tuple[str, ...] | None) -> list[str]:
    return [
        "tritonserver",
        f"--id={name}",
        "--model-repository=/models",
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in (("*",) if models is None else models)),
        f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
    ]


def _run(
    docker: DockerClient,
    spec: ContainerSpec,
    name: str,
    command: list[str],
    repository: Path,
    ports: tuple[int | None, ...],
) -> Container:
    with asking(f"starting {spec.image}"):
        return docker.containers.run(
            spec.image,
            command,
            name=name,
            detach=True,
            labels=labels_of(name),
            ports={inside: (HOST, outside) for inside, outside in zip(PORTS, ports, strict=True)},
            volumes={str(repository.resolve()): {"bind": "/models", "mode": "ro"}},
            mem_limit=spec.memory_bytes,
            shm_size=spec.shm_bytes,
            device_requests=_device_requests(spec.gpus),
            **hardening(),
        )


def hardening() -> dict[str, Any]:
    """What is taken from a container of ours: root, capabilities, a writable root, new privileges, endless processes.

    The image's own health check is off: it would run a program every few seconds beside what is measured.
    """
    return {
        "user": f"{os.getuid() or USER}:{os.getgid() or USER}",
        "read_only": True,
        "tmpfs": {"/tmp": "mode=1777"},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": PIDS,
        "healthcheck": {"test": ["NONE"]},
        "environment": {"ORT_DISABLE_TELEMETRY": "1", "HOME": "/tmp"},
    }


def _device_requests(gpus: str) -> list[Any]:
    if gpus == "none":
        return []
    request = require("docker").types.DeviceRequest
    chosen = {"count": -1} if gpus == "all" else {"device_ids": gpus.split(",")}
    return [request(driver="nvidia", capabilities=[["gpu"]], **chosen)]


def _endpoint(container: Container) -> Endpoint:
    """Where the container listens: the engine has chosen the ports that were not given."""
    with asking(f"looking at {container.name}"):
        container.reload()
    bound = container.attrs["NetworkSettings"]["Ports"] or {}
    http, grpc, metrics = (f"{HOST}:{bound[port][0]['HostPort']}" if bound.get(port) else "" for port in PORTS)
    return Endpoint(http=http, grpc=grpc, metrics=metrics, pid=container.attrs["State"]["Pid"] or None)


def _wait_until_ready(server: DockerServer, repository: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not (server.endpoint.http and triton.is_ready(server.endpoint, timeout_s=1.0)):
        if not server.is_alive or server.has_failed:
            time.sleep(LAST_WORDS_S)
            raise _trouble(server, f"Triton in a container cannot serve {repository}")
        if time.monotonic() > deadline:
            raise _trouble(server, f"Triton in a container is not ready to serve {repository} after {timeout_s:g} s")
        time.sleep(POLL_S)


def _trouble(server: DockerServer, what: str) -> ServerTrouble:
    ending = "" if server.is_alive else f" ({server.ending()})"
    words = triton_log.failure(f"{what}{ending}", server.log_text())
    return ServerTrouble(words, mend="toolkit repo lint finds most causes")
