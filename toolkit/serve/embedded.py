"""A real tritonserver on this machine, from the nvidia-pytriton wheel, serving a repository as it is.

In: a model repository. Out: a Server that is ready, or an error that says why not. `backend: "onnxruntime"` entries
run on our python-based backend; nothing in an entry tells. Loopback only. It does not know what is in the entries.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

from toolkit.errors import EnvironmentProblem, RepositoryError, ServerTrouble
from toolkit.records import writing
from toolkit.serve import client, launcher
from toolkit.serve import log as triton_log
from toolkit.serve.backend_directory import backend_directory
from toolkit.serve.engines import check_engines
from toolkit.serve.prerequisites import library_path, wheel_folder
from toolkit.serve.prerequisites import problems as problems
from toolkit.serve.server import HOST, Endpoint, Server, port_is_free

SERVICES = ("http", "grpc", "metrics")
#: What the wheel's python backend is called: by its own name, and under each name that we give it.
PYTHON_BACKENDS = ("python", "onnxruntime", "onnxruntime_llm")
READY_TIMEOUT_S = 300.0
PORT_ATTEMPTS = 5
POLL_S = 0.05
#: After the first error, time for the server to write the rest of it.
LAST_WORDS_S = 0.3


def serve_embedded(
    repository: Path,
    *,
    models: tuple[str, ...] | None = None,
    http_port: int | None = None,
    grpc_port: int | None = None,
    metrics_port: int | None = None,
    log: Path | None = None,
    cache_bytes: int = 0,
    allow_spinning: bool = False,
    timeout_s: float = READY_TIMEOUT_S,
) -> Server:
    """Start tritonserver and return it when the server and every model asked for are ready.

    `models` None loads all entries, an empty tuple none; `client.load_model` loads more later. Ports that are not
    given are chosen. `log` is written anew; without it the log lives as long as the Server. `cache_bytes` > 0 turns
    the response cache on, and then no figure counts as inference. `allow_spinning` lets the threads of ONNX Runtime
    spin, which pays only where cores are not shared.
    Raises MissingDependency or EnvironmentProblem for what the machine lacks or a port in use, RepositoryError for a
    repository or entry that is not there, ServerTrouble when the server or a model fails while starting.
    """
    for problem in problems():
        raise problem
    wheel = wheel_folder()
    check_repository(repository, models)
    check_engines(repository, models)
    given = (http_port, grpc_port, metrics_port)
    for port in given:
        check_port(port)
    options = _options(repository, models, wheel, cache_bytes)
    for _ in range(PORT_ATTEMPTS):
        server = _launch(wheel, ports_for(given), options, log, allow_spinning)
        try:
            if _wait_until_ready(server, repository, timeout_s):
                _check_models(server, models or ())
                return server
        except BaseException:
            server.close()
            raise
        # Somebody took a port between our look at it and Triton's.
        server.close()
    raise EnvironmentProblem(
        f"in {PORT_ATTEMPTS} attempts a port that had been free was in use", mend="choose one with --http-port"
    )


def check_repository(repository: Path, models: tuple[str, ...] | None) -> None:
    """Raise RepositoryError for a repository that is no folder, and for an entry that it does not hold."""
    if not repository.is_dir():
        raise RepositoryError(
            f"{repository} is not a folder", mend="toolkit repo add ARTIFACT --repository DIR makes a model repository"
        )
    for model in models or ():
        if not (repository / model).is_dir():
            there = ", ".join(sorted(path.name for path in repository.iterdir() if path.is_dir())) or "none"
            raise RepositoryError(f"{repository} has no entry '{model}'; there: {there}", mend="toolkit repo list")


def check_port(port: int | None) -> None:
    """Raise EnvironmentProblem for a port of the loopback that is in use."""
    if port is not None and not port_is_free(port):
        raise EnvironmentProblem(
            f"port {port} of {HOST} is in use",
            mend=f"choose another port, or end the process that 'ss -ltnp sport = :{port}' shows",
        )


def ports_for(given: tuple[int | None, ...]) -> tuple[int, ...]:
    """The given ports, and free ones in place of None, held until all of them are found so that they differ."""
    holders = [socket.create_server((HOST, 0)) for _ in given]
    free = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return tuple(chosen if port is None else port for port, chosen in zip(given, free, strict=True))


def _options(repository: Path, models: tuple[str, ...] | None, wheel: Path, cache_bytes: int) -> tuple[str, ...]:
    cache = (f"--cache-config=local,size={cache_bytes}", f"--cache-directory={wheel / 'caches'}")
    return (
        f"--model-repository={repository.resolve()}",
        f"--backend-directory={backend_directory(wheel)}",
        "--model-control-mode=explicit",
        *(f"--load-model={name}" for name in (("*",) if models is None else models)),
        f"--exit-timeout-secs={launcher.EXIT_TIMEOUT_S}",
        *(cache if cache_bytes else ()),
    )


def _launch(
    wheel: Path, ports: tuple[int, ...], options: tuple[str, ...], log: Path | None, allow_spinning: bool
) -> Server:
    name = f"poc_toolkit_{os.getpid()}_{secrets.token_hex(4)}"
    command = (
        f"{wheel}/bin/tritonserver",
        f"--id={name}",
        *options,
        *(f"--{service}-address={HOST}" for service in SERVICES),
        *(f"--{service}-port={port}" for service, port in zip(SERVICES, ports, strict=True)),
        *(f"--backend-config={backend},shm-region-prefix-name={name}_" for backend in PYTHON_BACKENDS),
    )
    log_file = _open_log(log)
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            (sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), f"{name}_", *command),
            env=_environment(wheel, allow_spinning),
            stdin=theirs.fileno(),
            stdout=log_file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    http, grpc, metrics = (f"{HOST}:{port}" for port in ports)
    endpoint = Endpoint(http=http, grpc=grpc, metrics=metrics)
    return Server(endpoint=endpoint, name=name, launcher=process, control=ours, log_file=log_file)


def _environment(wheel: Path, allow_spinning: bool) -> dict[str, str]:
    return os.environ | {
        "LD_LIBRARY_PATH": library_path(wheel),
        # The stub takes the virtual environment of the first Python on the path.
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "TOOLKIT_ORT_ALLOW_SPINNING": str(int(allow_spinning)),
    }


def _open_log(path: Path | None) -> BinaryIO:
    """A file to append to and to read: the one named, else one that vanishes with the last who has it open."""
    if path is None:
        return tempfile.TemporaryFile(mode="a+b", buffering=0)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        return path.open("a+b", buffering=0)


def _wait_until_ready(server: Server, repository: Path, timeout_s: float) -> bool:
    """True when the server is ready, False when a port of it was taken. Raises ServerTrouble for any other end."""
    deadline = time.monotonic() + timeout_s
    while not _is_ready(server):
        if not server.is_alive or server.has_failed:
            time.sleep(LAST_WORDS_S)
            if server.port_taken:
                return False
            raise _trouble(server, f"tritonserver cannot serve {repository}")
        if time.monotonic() > deadline:
            raise _trouble(server, f"tritonserver is not ready to serve {repository} after {timeout_s:g} s")
        time.sleep(POLL_S)
    return not server.port_taken


def _is_ready(server: Server) -> bool:
    # Whoever took our port could be a ready Triton too; hence the look at the name.
    if not client.is_ready(server.endpoint, timeout_s=1.0):
        return False
    return bool(client.server_metadata(server.endpoint)["name"] == server.name)


def _check_models(server: Server, models: tuple[str, ...]) -> None:
    for model in models:
        if not client.is_ready(server.endpoint, model):
            raise _trouble(server, f"entry '{model}' is loaded and not ready")


def _trouble(server: Server, what: str) -> ServerTrouble:
    return ServerTrouble(triton_log.failure(what, server.log_text()), mend="toolkit repo lint finds most causes")
