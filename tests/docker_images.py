"""The Docker engine of the tests, and a CPU image on it; each test that asks is skipped with the reason where not."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tiny_poc import save_model

from toolkit.errors import EnvironmentProblem, MissingDependency
from toolkit.records import write_text
from toolkit.serve.docker_engine import OWNER_LABEL, connect, image_here
from toolkit.workflow.bundle_image import CpuImage, build_cpu_image

#: The first is made by `.ci/base-image`, without a registry.
BASES = ("poc-toolkit/base:bookworm", "debian:bookworm-slim")

CONFIG = """\
name: "net"
backend: "onnxruntime"
max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [ 8 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 8 ] }
dynamic_batching { }
"""


def engine() -> Any:
    """The engine of this machine; the test is skipped where none answers."""
    try:
        return connect()
    except (EnvironmentProblem, MissingDependency) as err:
        pytest.skip(err.message)


def base_image() -> str:
    """A base image that is here; the test is skipped where none is."""
    client = engine()
    for name in BASES:
        try:
            image_here(client, name, mend="")
        except EnvironmentProblem:
            continue
        return name
    pytest.skip("no base image is here: docker pull debian:bookworm-slim, or .ci/base-image")


@cache
def cpu_image() -> CpuImage:
    """The CPU image for the examples, built by the first who asks; for the vision PoC it holds pillow."""
    base = base_image()
    with _alone(), tempfile.TemporaryDirectory() as folder:
        repository = write_repository(Path(folder))
        write_text(repository / "net" / "requirements.txt", "pillow>=10\n")
        return build_cpu_image(repository, base=base, progress=lambda text: None)


@contextmanager
def _alone() -> Iterator[None]:
    """Workers of pytest would build the same image at the same time."""
    with (Path(tempfile.gettempdir()) / f"poc-toolkit-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_repository(folder: Path) -> Path:
    """A repository with one small ONNX entry, `net`."""
    write_text(folder / "net" / "config.pbtxt", CONFIG)
    (folder / "net" / "1").mkdir(parents=True)
    save_model(folder / "net" / "1" / "model.onnx")
    return folder


def our_containers(client: Any) -> list[str]:
    """The names of all containers that the toolkit started and that exist, whatever their state."""
    found = client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
    return [container.name for container in found]
