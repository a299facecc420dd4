"""Triton in a container: the same answers, nothing to break out with, and nothing left, however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docker_images import cpu_image, engine, our_containers, write_repository
from tiny_poc import WIDTH, wait_until

from toolkit.errors import EnvironmentProblem, RepositoryError, ServerTrouble, ToolkitError, UsageError
from toolkit.serve.client import infer
from toolkit.serve.docker import MIB, ContainerSpec, serve_docker
from toolkit.serve.docker_engine import OWNER_LABEL, bytes_from_text, connect, labels_of, left_containers, refusal
from toolkit.serve.embedded import serve_embedded
from toolkit.workflow.doctor import examine

ROWS = np.linspace(-1, 1, 3 * WIDTH, dtype=np.float32).reshape(3, WIDTH)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_repository(tmp_path / "models")


@pytest.fixture
def spec() -> ContainerSpec:
    return ContainerSpec(image=cpu_image().name, memory_bytes=1024 * MIB, shm_bytes=128 * MIB)


def of_this_process(client: Any) -> list[str]:
    """Containers of this worker: another may have its own at the same time."""
    return [name for name in our_containers(client) if name.startswith(f"poc-toolkit-{os.getpid()}-")]


@pytest.mark.docker
def test_a_container_answers_as_the_embedded_server_does_and_is_hardened(repository: Path, spec: ContainerSpec) -> None:
    client = engine()
    with serve_embedded(repository) as embedded:
        expected = infer(embedded.endpoint, "net", {"x": ROWS})
    with serve_docker(repository, spec) as server:
        assert np.array_equal(infer(server.endpoint, "net", {"x": ROWS})["y"], expected["y"])
        (container,) = [client.containers.get(name) for name in of_this_process(client)]
        host, config = container.attrs["HostConfig"], container.attrs["Config"]
        assert config["User"].split(":")[0] not in ("", "0", "root")
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert (host["Memory"], host["ShmSize"]) == (1024 * MIB, 128 * MIB)
        assert {bound["HostIp"] for ports in host["PortBindings"].values() for bound in ports} == {"127.0.0.1"}
        assert [mount["RW"] for mount in container.attrs["Mounts"]] == [False]
        said = container.exec_run(("touch", "/models/net/x", "/opt/x"))
        assert said.output.count(b"Read-only file system") == 2
        assert server.is_alive
        assert "successfully loaded 'net'" in server.logs(200)
    assert not server.is_alive
    assert of_this_process(client) == []


STARTING = """
import sys, time
from pathlib import Path
from toolkit.serve.docker import ContainerSpec, serve_docker
with serve_docker(Path(sys.argv[1]), ContainerSpec(image=sys.argv[2])) as server:
    print(server.name, flush=True)
    time.sleep(60)
"""


@pytest.mark.docker
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_ended_leaves_no_container(repository: Path, kind: signal.Signals) -> None:
    client, image = engine(), cpu_image().name
    command = (sys.executable, "-c", STARTING, str(repository), image)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert name in our_containers(client)
        process.send_signal(kind)
    assert wait_until(lambda: name not in our_containers(client), 20)


@pytest.mark.docker
@pytest.mark.parametrize(
    ("break_it", "timeout_s", "words"),
    [
        (lambda folder: (folder / "net" / "1" / "model.onnx").write_bytes(b"?"), 60, "INVALID_PROTOBUF"),
        (lambda folder: (folder / "net" / "config.pbtxt").write_text("bogus: 1"), 60, "bogus"),
        (lambda folder: None, 0.0, "not ready to serve .* after 0 s"),
    ],
)
def test_a_server_that_does_not_come_up_says_why_and_is_removed(
    repository: Path, spec: ContainerSpec, break_it: Callable[[Path], Any], timeout_s: float, words: str
) -> None:
    break_it(repository)
    with pytest.raises(ServerTrouble, match=f"(?s){words}.*the log ends with"):
        serve_docker(repository, spec, timeout_s=timeout_s)
    assert of_this_process(engine()) == []


@pytest.mark.docker
def test_what_the_machine_cannot_do_names_its_mend(repository: Path, spec: ContainerSpec) -> None:
    with pytest.raises(EnvironmentProblem, match=r"nope:1 is not on this machine\n  mend: docker pull nope:1"):
        serve_docker(repository, ContainerSpec(image="nope:1"), mend_image="docker pull nope:1")
    with pytest.raises(EnvironmentProblem, match=r"--gpus none"):
        serve_docker(repository, ContainerSpec(image=spec.image, gpus="all"))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EnvironmentProblem, match="in use"):
        serve_docker(repository, spec, http_port=taken.getsockname()[1])
    with pytest.raises(RepositoryError, match="no entry 'other'; there: net"):
        serve_docker(repository, spec, models=("other",))
    assert of_this_process(engine()) == []


@pytest.mark.docker
def test_doctor_finds_what_a_process_that_is_gone_has_left_and_names_the_command_that_removes_it() -> None:
    client = engine()
    name = f"poc-toolkit-test-{os.getpid()}"
    gone = {**labels_of(name), OWNER_LABEL: f"{os.getpid()}-1"}
    container = client.containers.create(cpu_image().name, labels=gone, name=name)
    try:
        assert name in {left.name for left in left_containers(client)}
        (check,) = [c for c in examine() if c.name == "docker"]
        assert name in check.found
        assert container.short_id in check.mend
        subprocess.run(("docker", "rm", "--force", container.short_id), check=True, capture_output=True)
        assert name not in our_containers(client)
    finally:
        client.api.remove_container(name, force=True) if name in our_containers(client) else None


@pytest.mark.parametrize(
    ("host", "words", "mend"),
    [
        ("tcp://gpu-box:2375", "neither the files of this machine nor its loopback", "unset DOCKER_HOST"),
        ("unix:///nowhere/docker.sock", "no Docker engine listens at /nowhere/docker.sock", "systemctl start docker"),
    ],
)
def test_an_engine_that_is_not_here(monkeypatch: pytest.MonkeyPatch, host: str, words: str, mend: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EnvironmentProblem, match=words) as raised:
        connect()
    assert mend in raised.value.mend


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ("write /x: no space left on device", "docker system prune"),
        ("Bind for 127.0.0.1:8000 failed: port is already allocated", "--http-port"),
        ('could not select device driver "nvidia" with capabilities: [[gpu]]', "NVIDIA Container Toolkit"),
        ('exec: "tritonserver": executable file not found in $PATH', "--image"),
        ("something new", "docker info"),
    ],
)
def test_what_the_engine_refuses_names_its_mend(words: str, mend: str) -> None:
    assert mend in refusal("starting", words).mend


def test_sizes_are_written_as_docker_writes_them() -> None:
    assert bytes_from_text("--memory", "512m") == 512 * MIB
    with pytest.raises(UsageError, match="--memory '4q' is not a size"):
        bytes_from_text("--memory", "4q")
    with pytest.raises(ToolkitError, match="does not fit"):
        ContainerSpec(image="i", memory_bytes=MIB, shm_bytes=MIB)
