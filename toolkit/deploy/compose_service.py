"""The serving container of a compose bundle, for any server: what its template prints, and the files that it reads.

In: a DeploymentSpec. Out: a Service, and files by their path in the bundle. It knows no server by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.deploy.rendering import render
from toolkit.deploy.server import Llm, Server
from toolkit.deploy.servers import SERVERS
from toolkit.deploy.spec import DeploymentSpec

#: Where the files lie that a server reads, in the bundle.
_SERVER_FILES = "server"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A port of the container, and the variable that chooses another one on the host."""

    variable: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as its template prints it. `folder` is where the model's folder is mounted, empty where none is."""

    name: str
    variable: str
    environment: tuple[tuple[str, str], ...]
    secrets: tuple[str, ...]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    files: tuple[str, ...]
    has_repository: bool
    has_read_only_root: bool
    compiles: bool
    folder: str
    cache: str
    ports: tuple[PublishedPort, ...]
    ready: str
    start: str


#: Stands for the language model of a server that is given none.
_NO_LLM = Llm(served_name="", source="", source_sha256="", weight_bytes=0)


def service_of(spec: DeploymentSpec) -> Service:
    """The service that serves."""
    server, llm = SERVERS[spec.server], spec.llm or _NO_LLM
    environment: Mapping[str, str] = {**server.environment, **server.model_environment(llm)}
    variable = "TRITON" if server.has_repository else server.variable
    return Service(
        name=server.name,
        variable=variable,
        environment=tuple(environment.items()),
        secrets=server.secrets,
        entrypoint=server.entrypoint,
        command=server.arguments(llm),
        files=tuple(f"../{_in_bundle(place)}:{place}:ro" for place in server.files),
        has_repository=server.has_repository,
        has_read_only_root=server.has_read_only_root,
        compiles=spec.llm is not None,
        folder=llm.place if spec.llm else "",
        cache=server.cache,
        ports=tuple(PublishedPort(variable=f"{variable}_{p.name.upper()}_PORT", number=p.number) for p in server.ports),
        ready=f"127.0.0.1:{server.port('http')}{server.ready}",
        start=f"{server.start_s}s",
    )


def llm_files(spec: DeploymentSpec) -> dict[str, str | bytes]:
    """What the bundle of a GPU server of language models holds besides; nothing of it is secret."""
    server = SERVERS[spec.server]
    if spec.llm is None:
        return {}
    return {
        "compose/secrets.env": render("compose/secrets.env.j2", {"secrets": server.secrets}),
        "cache/.keep": "",
        **server_files(server),
    }


def server_files(server: Server) -> dict[str, str | bytes]:
    """The files that a server reads, by their path in the bundle."""
    return {_in_bundle(place): text for place, text in server.files.items()}


def _in_bundle(place: str) -> str:
    return f"{_SERVER_FILES}/{place.rpartition('/')[2]}"
