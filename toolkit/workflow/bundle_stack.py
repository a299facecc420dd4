"""The services of a compose bundle, running on this machine for as long as a context lasts, under a name of their own.

In: a bundle, the images that stand in for its own, free ports. Out: a Stack: its project, its containers, where they
listen. It does not know what will be asked of them.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import ConfigurationError, ServerTrouble
from toolkit.records import read_yaml, write_text
from toolkit.serve import log as triton_log
from toolkit.serve.compose import Project, compose_program, run_compose
from toolkit.serve.docker_engine import SESSION_LABEL, asking, engine_socket, labels_of
from toolkit.serve.docker_guard import Guard
from toolkit.serve.embedded import ports_for
from toolkit.serve.server import HOST, Endpoint

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

PROFILES = ("--profile", "serving", "--profile", "observability")
#: The variables by which a compose file is told where to listen.
PORT_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+_PORT):-")
#: wget, which Prometheus' own image has, is in no image that is made here.
PROMETHEUS_HEALTH = "import urllib.request as r; r.urlopen('http://127.0.0.1:9090/-/healthy', timeout=3)"
POLL_S = 0.2
LOG_LINES = 2000
STOP_TIMEOUT_S = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A bundle's services under a project of Compose. `serving` is the service that answers inference requests."""

    client: DockerClient
    project: Project
    serving: str

    def container(self, service: str) -> Container | None:
        """The container of a service with its state as it is now; None where there is none."""
        labels = [f"com.docker.compose.project={self.project.name}", f"com.docker.compose.service={service}"]
        with asking(f"looking for {service}"):
            found = self.client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
        return next(iter(found), None)

    def address(self, service: str, port: int) -> str:
        """Where a service's port is published; empty where it is not."""
        container = self.container(service)
        bound = (container.attrs["NetworkSettings"]["Ports"] or {}) if container else {}
        places = bound.get(f"{port}/tcp")
        return f"{HOST}:{places[0]['HostPort']}" if places else ""

    def endpoint(self) -> Endpoint:
        """The serving service as an Endpoint."""
        container = self.container(self.serving)
        pid = container.attrs["State"]["Pid"] if container else 0
        http, grpc, metrics = (self.address(self.serving, port) for port in (8000, 8001, 8002))
        return Endpoint(http=http, grpc=grpc, metrics=metrics, pid=pid or None)

    def log_text(self, service: str) -> str:
        """The end of a service's log."""
        container = self.container(service)
        with asking(f"reading the log of {service}"):
            return str(container.logs(tail=LOG_LINES), errors="replace") if container else ""


@contextmanager
def stack_of(client: DockerClient, bundle: Path, images: Mapping[str, str], *, gpu: bool) -> Iterator[Stack]:
    """A project of the bundle's files, of which nothing runs yet; at the end nothing of it is left, however it ends.

    `images` replaces the image of each service that it names. `gpu`: with the file that gives the server one.
    """
    folder = (bundle / "compose").resolve()
    described = read_yaml(folder / "docker-compose.yaml")
    name = f"poc-verify-{os.getpid()}-{secrets.token_hex(4)}"
    labels = labels_of(name)
    guard = Guard(engine_socket(), f"{SESSION_LABEL}={name}")
    try:
        with tempfile.TemporaryDirectory(prefix="poc-toolkit-verify-") as work:
            write_text(Path(work) / "ours.yaml", json.dumps(_ours(described, images, labels)))
            files = ("docker-compose.yaml", *(("docker-compose.gpu.yaml",) if gpu else ()), f"{work}/ours.yaml")
            variables = {"BIND_ADDRESS": HOST} | _free_ports(folder / "docker-compose.yaml")
            project = Project(program=compose_program(), folder=folder, files=files, name=name, variables=variables)
            yield Stack(client=client, project=project, serving=serving_service(described))
    finally:
        guard.release()


def serving_service(described: Mapping[str, Any]) -> str:
    """The service of a compose file that answers inference requests. Raises ConfigurationError."""
    services = described.get("services") or {}
    found = [str(name) for name, service in services.items() if "serving" in (service.get("profiles") or ())]
    if len(found) != 1:
        raise ConfigurationError(
            f"compose/docker-compose.yaml has {len(found)} services of the profile 'serving'; expected one",
            mend="toolkit bundle validate DIR, or deploy the run again",
        )
    return found[0]


def start(stack: Stack, *services: str) -> None:
    """Create and start services. Raises EnvironmentProblem for what the engine refuses."""
    run_compose(stack.project, *PROFILES, "up", "--detach", "--no-build", *services)


def wait_for(stack: Stack, service: str, is_ready: Callable[[], bool], timeout_s: float) -> float:
    """Wait until a service is ready, and return the seconds since it was started.

    Raises ServerTrouble with the end of its log when it dies, starts again, or is not ready in time.
    """
    began = time.monotonic()
    while not is_ready():
        container = stack.container(service)
        state = container.attrs["State"] if container else {"Running": False, "ExitCode": "?"}
        if not state["Running"]:
            ending = "killed at its memory limit" if state.get("OOMKilled") else f"exit code {state['ExitCode']}"
            raise _trouble(stack, service, f"{service} ended while it was starting ({ending})")
        if time.monotonic() - began > timeout_s:
            raise _trouble(stack, service, f"{service} is not ready after {timeout_s:g} s")
        time.sleep(POLL_S)
    return time.monotonic() - began


def take_down(stack: Stack) -> tuple[str, ...]:
    """Take everything down as a reader of the README would; what is left of it, which should be nothing."""
    run_compose(stack.project, *PROFILES, "down", "--volumes", "--timeout", str(STOP_TIMEOUT_S))
    label = {"label": f"{SESSION_LABEL}={stack.project.name}"}
    with asking("looking for what is left"):
        containers = [c.name for c in stack.client.containers.list(all=True, filters=label, ignore_removed=True)]
        networks = [n.name for n in stack.client.networks.list(filters=label)]
        volumes = [v.name for v in stack.client.volumes.list(filters=label)]
    return (*containers, *networks, *volumes)


def images_of(stack: Stack) -> dict[str, str]:
    """The image of each service that has a container."""
    labels = {"label": f"com.docker.compose.project={stack.project.name}"}
    with asking("looking at the containers"):
        found = stack.client.containers.list(all=True, filters=labels, ignore_removed=True)
    return {str(c.labels["com.docker.compose.service"]): str(c.attrs["Config"]["Image"]) for c in found}


def ready_path(bundle: Path) -> str:
    """The path at which the serving service says that it is ready."""
    return str(json.loads((bundle / "smoke" / "expected.json").read_text(encoding="utf-8"))["ready"])


def answers(address: str, path: str) -> bool:
    """Whether a server answers a path with 200."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _trouble(stack: Stack, service: str, what: str) -> ServerTrouble:
    text = stack.log_text(service)
    return ServerTrouble(triton_log.failure(what, text), mend="toolkit bundle validate DIR finds what the files tell")


def _free_ports(file: Path) -> dict[str, str]:
    names = sorted(set(PORT_VARIABLE.findall(file.read_text(encoding="utf-8"))))
    return {name: str(port) for name, port in zip(names, ports_for((None,) * len(names)), strict=True)}


def _ours(described: Mapping[str, Any], images: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, Any]:
    """What is laid over the bundle's files: our labels, other images, and no restart of what has died."""
    services = {}
    for name in described["services"]:
        image = {"image": images[name]} if name in images else {}
        services[name] = {"labels": dict(labels), "restart": "no", **image}
    if "prometheus" in images:
        services["prometheus"]["healthcheck"] = {"test": ["CMD", "python3", "-c", PROMETHEUS_HEALTH]}
    volumes = {name: {"labels": dict(labels)} for name in described.get("volumes") or {}}
    return {"services": services, "networks": {"default": {"labels": dict(labels)}}, "volumes": volumes}
