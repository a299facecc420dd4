"""`toolkit serve --mode docker`: which image serves a repository here, on what GPUs, within which limits.

In: a repository and what was asked. Out: a ready DockerServer. It starts nothing itself (serve/docker.py does).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.deploy.spec import TRITON_IMAGE, default_memory_bytes
from toolkit.environment import environment_here
from toolkit.errors import UsageError
from toolkit.export.engine import EngineStamp, stamp_here
from toolkit.records import files_below
from toolkit.serve.docker import ContainerSpec, serve_docker
from toolkit.serve.docker_engine import bytes_from_text, connect, environment_of, image_here
from toolkit.serve.docker_server import DockerServer
from toolkit.serve.embedded import check_repository, serve_embedded
from toolkit.serve.engines import check_engines
from toolkit.serve.server import Server
from toolkit.workflow.bundle_image import cpu_image_for

#: What NGC images call the TensorRT that they hold, "10.13.2.6+cuda13.0".
TENSORRT_VARIABLES = ("TRT_VERSION", "TENSORRT_VERSION")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What a container was asked to be, as it is typed; what is None is chosen."""

    image: str | None = None
    gpus: str | None = None
    memory: str | None = None
    shm: str = "1g"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of a server on the loopback; None is any free one."""

    http: int | None = None
    grpc: int | None = None
    metrics: int | None = None


def serve_in(
    mode: Literal["embedded", "docker"], repository: Path, options: ServeOptions, ports: Ports
) -> Server | DockerServer:
    """A ready server on a repository: the embedded one, or one in a container."""
    if mode == "docker":
        return serve_container(repository, options, ports)
    if options != ServeOptions():
        raise UsageError("--image, --gpus, --memory and --shm are of containers", mend="add --mode docker")
    return serve_embedded(repository, http_port=ports.http, grpc_port=ports.grpc, metrics_port=ports.metrics)


def serve_container(repository: Path, options: ServeOptions = ServeOptions(), ports: Ports = Ports()) -> DockerServer:
    """Serve a repository from a container; what is not asked is chosen.

    The image: NVIDIA's, unless there is no GPU here and a CPU image that holds what the entries import. GPUs: all, or
    none where there is none. Memory: by the size of the models. TensorRT engines are checked first against this GPU and
    the image's TensorRT. Raises what `serve_docker` raises.
    """
    check_repository(repository, None)
    gpus = options.gpus or ("all" if environment_here().gpus else "none")
    mend = f"docker pull {options.image or TRITON_IMAGE}"
    if gpus == "none":
        mend = f"{mend}; or toolkit bundle image {repository} builds one for CPUs"
    image = options.image or _image_for(repository, gpus)
    check_engines(repository, None, here=stamp_in(image, mend))
    shm_bytes = bytes_from_text("--shm", options.shm)
    model_bytes = sum((repository / name).stat().st_size for name in files_below(repository))
    given = bytes_from_text("--memory", options.memory) if options.memory else None
    memory_bytes = given or default_memory_bytes(model_bytes, shm_bytes)
    spec = ContainerSpec(image=image, gpus=gpus, memory_bytes=memory_bytes, shm_bytes=shm_bytes)
    return serve_docker(
        repository,
        spec,
        http_port=ports.http,
        grpc_port=ports.grpc,
        metrics_port=ports.metrics,
        mend_image=mend,
    )


def _image_for(repository: Path, gpus: str) -> str:
    found = cpu_image_for(connect(), repository) if gpus == "none" else None
    return found.name if found else TRITON_IMAGE


def stamp_in(image: str, mend: str) -> EngineStamp:
    """Where an engine would run: this machine's GPU, and the TensorRT that the image says it holds."""
    variables = environment_of(image_here(connect(), image, mend=mend))
    version = next((variables[name] for name in TENSORRT_VARIABLES if name in variables), "")
    return stamp_here(version.partition("+")[0])
