"""The CPU image: what it holds and what it does not, how it is found, and what a machine without packages is told."""

from __future__ import annotations

import json
import os
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from docker_images import base_image, cpu_image, engine, write_repository

from toolkit.deploy.cpu_image import covers, package_name, pinned, requirements_of
from toolkit.errors import ConfigurationError, EnvironmentProblem
from toolkit.export.engine import STAMP_FILE, EngineStamp
from toolkit.records import write_json, write_text
from toolkit.workflow.bundle_image import build_cpu_image, cpu_image_for, repository_in, write_sbom
from toolkit.workflow.serve_container import ServeOptions, serve_container, stamp_in


def quiet(text: str) -> None:
    """Nobody watches."""


def in_image(*command: str) -> subprocess.CompletedProcess[str]:
    options = ("--rm", "--network", "none", "--read-only")
    whole = ("docker", "run", *options, cpu_image().name, *command)
    return subprocess.run(whole, capture_output=True, text=True, check=False)


@pytest.mark.docker
def test_the_software_list_names_every_package_with_the_version_that_was_measured(tmp_path: Path) -> None:
    document = json.loads(write_sbom(cpu_image(), tmp_path / "sbom.json").read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    versions = {c["name"].lower(): c["version"] for c in document["components"]}
    for name in ("numpy", "onnxruntime", "pillow", "nvidia-pytriton"):
        assert versions[name] == metadata.version(name)
    assert {"libc6", "python3", "libpython3.11"} <= set(versions)
    assert len({c["purl"] for c in document["components"]}) == len(document["components"])


@pytest.mark.docker
def test_the_image_has_no_root_no_pip_and_nothing_of_this_machine() -> None:
    image = engine().images.get(cpu_image().name)
    assert image.attrs["Config"]["User"] == "1000:1000"
    said = json.dumps([image.attrs["Config"], image.history()])
    for name, value in os.environ.items():
        if name.startswith("PIP_") and len(value) > 8:
            assert value not in said, name
    assert in_image("id", "-u").stdout.strip() == "1000"
    assert in_image("python3", "-m", "pip", "--version").returncode != 0
    assert in_image("sh", "-c", "ls /etc/pip.conf /etc/xdg/pip /build /opt/poc/*.whl").stdout == ""


@pytest.mark.docker
def test_an_image_is_built_once_and_found_by_what_it_holds(tmp_path: Path) -> None:
    image, client = cpu_image(), engine()
    repository = write_repository(tmp_path / "models")
    found = cpu_image_for(client, repository)
    assert found is not None
    assert covers(found.requirements, requirements_of(repository))
    write_text(repository / "net" / "requirements.txt", "pillow>=10\n")
    again = build_cpu_image(repository, base=base_image(), progress=quiet)
    assert (again.id, again.built) == (image.id, False)
    write_text(repository / "net" / "requirements.txt", "a-package-that-no-image-holds\n")
    assert cpu_image_for(client, repository) is None


@pytest.mark.docker
def test_what_cannot_be_built_says_why(tmp_path: Path) -> None:
    repository = write_repository(tmp_path / "models")
    (tmp_path / "wheels").mkdir()
    with pytest.raises(EnvironmentProblem, match=r"(?s)cannot be had.*--wheels DIR"):
        build_cpu_image(repository, base=base_image(), wheels=tmp_path / "wheels", progress=quiet)
    with pytest.raises(EnvironmentProblem, match="nowhere:1 is not on this machine"):
        build_cpu_image(repository, base="nowhere:1", progress=quiet)


@pytest.mark.docker
def test_an_engine_is_compared_with_this_gpu_and_the_tensorrt_of_the_image_before_a_start(tmp_path: Path) -> None:
    client, repository = engine(), write_repository(tmp_path / "models")
    stamp = EngineStamp(tensorrt="10.9.0", gpu="NVIDIA H100", architecture="", driver="")
    write_json(repository / "net" / "1" / STAMP_FILE, stamp)
    container = client.containers.create(cpu_image().name)
    try:
        made = container.commit(conf={"Env": ["TRT_VERSION=10.13.2.6+cuda13.0"]})
    finally:
        container.remove()
    try:
        assert stamp_in(made.id, "").tensorrt == "10.13.2.6"
        with pytest.raises(EnvironmentProblem, match="entry 'net': its TensorRT engine cannot run here"):
            serve_container(repository, ServeOptions(image=made.id, gpus="none"))
    finally:
        client.images.remove(made.id, force=True)


def test_what_the_entries_and_our_backends_need(tmp_path: Path) -> None:
    repository = write_repository(tmp_path / "models")
    assert requirements_of(repository) == ("numpy>=1.26,<2", "onnxruntime>=1.22")
    write_text(repository / "net" / "requirements.txt", "# images\nPillow>=10  # a comment\n")
    assert requirements_of(repository) == ("Pillow>=10", "numpy>=1.26,<2", "onnxruntime>=1.22")
    write_text(repository / "net" / "requirements.txt", "--index-url http://somewhere\n")
    with pytest.raises(ConfigurationError, match="not a package"):
        requirements_of(repository)


def test_versions_are_those_that_were_measured_with() -> None:
    numpy = metadata.version("numpy")
    assert pinned(("numpy>=1.26,<2", "not-installed-here>=1")) == (f"numpy=={numpy}", "not-installed-here>=1")
    assert package_name("Pillow[extra]>=10") == "pillow"
    assert covers(("numpy>=1.26,<2", "Pillow"), ("pillow>=10",))
    assert not covers(("numpy>=1.26,<2",), ("pillow>=10",))


def test_a_bundle_is_known_by_its_lock(tmp_path: Path) -> None:
    assert repository_in(tmp_path) == tmp_path
    (tmp_path / "model_repository").mkdir()
    (tmp_path / "bundle.lock.json").touch()
    assert repository_in(tmp_path) == tmp_path / "model_repository"
    with pytest.raises(ConfigurationError, match="not a model repository"):
        repository_in(tmp_path / "nowhere")
