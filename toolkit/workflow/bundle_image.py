"""`toolkit bundle image`: the CPU image built on this machine's Docker engine, once for each set of packages.

In: a bundle or model repository, a base image, and wheels or the pip of this machine. Out: a CpuImage. An image that is
there already is taken as it is. What the packages are is decided in deploy/cpu_image.py.
"""

from __future__ import annotations

import io
import json
import platform
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.deploy.contents import MODEL_REPOSITORY
from toolkit.deploy.cpu_image import (
    KIND,
    KIND_LABEL,
    REPOSITORY,
    REQUIREMENTS_LABEL,
    context_files,
    covers,
    pinned,
    requirements_of,
    server_requirement,
)
from toolkit.errors import ConfigurationError, EnvironmentProblem, MissingDependency
from toolkit.records import digest_of_value, write_bytes
from toolkit.serve.docker_engine import asking, connect, image_here, refusal
from toolkit.workflow.runs import Progress

if TYPE_CHECKING:
    from docker import DockerClient

#: Debian 12, whose Python the server's stub fits.
BASE_IMAGE = "debian:bookworm-slim"
SBOM_IN_IMAGE = "/opt/poc/sbom.cdx.json"
#: The glibc of Debian 12: a wheel for an older one fits too.
NEWEST_GLIBC = 36
BUILD_TIMEOUT_S = 1800
BUILD_MEND = "--network host or --wheels DIR on a closed network; and look at deploy_templates/cpu-image/Dockerfile"
STAGES = {"dangling": True, "label": "poc-toolkit.stage=build"}
PYTHON_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuImage:
    """A CPU image on this machine: its name with the tag, its id, what it holds, and whether it was built just now."""

    name: str
    id: str
    requirements: tuple[str, ...]
    bytes: int
    built: bool


def repository_in(folder: Path) -> Path:
    """The model repository of a bundle; any other folder is one itself. Raises ConfigurationError."""
    place = folder / MODEL_REPOSITORY if (folder / "bundle.lock.json").is_file() else folder
    if not place.is_dir():
        raise ConfigurationError(f"{place} is not a model repository", mend="name a bundle, or a model repository")
    return place


def cpu_images_here(client: DockerClient) -> tuple[CpuImage, ...]:
    """The CPU images on this machine, the newest first."""
    with asking("looking for images"):
        found = client.images.list(filters={"label": f"{KIND_LABEL}={KIND}"})
    newest = sorted((i for i in found if i.tags), key=lambda i: str(i.attrs["Created"]), reverse=True)
    return tuple(_described(image, built=False) for image in newest)


def cpu_image_for(client: DockerClient, repository: Path) -> CpuImage | None:
    """The newest CPU image on this machine that holds what the entries of a repository import."""
    needed = requirements_of(repository)
    return next((image for image in cpu_images_here(client) if covers(image.requirements, needed)), None)


def build_cpu_image(
    folder: Path,
    *,
    base: str = BASE_IMAGE,
    wheels: Path | None = None,
    network: str = "default",
    progress: Progress,
) -> CpuImage:
    """The image for a bundle or repository, built unless it is there.

    `wheels` is a folder of wheels to install from; without it the pip of this Python downloads them, as it is
    configured. `network` is that of the one step that may need one: installing Python into a base without it.
    Raises EnvironmentProblem for a base image that is not here, a build that fails, a full disk; MissingDependency.
    """
    requirements = requirements_of(repository_in(folder))
    exact = pinned(requirements)
    files = context_files(exact)
    client = connect()
    base_id = image_here(client, base, mend=f"docker pull {base}; or name one that is here: --base IMAGE").id
    tag = f"{REPOSITORY}:{digest_of_value([base_id, server_requirement(), _digestible(files), _names(wheels)])[:16]}"
    with asking(f"looking for {tag}"):
        there = client.images.list(name=tag)
    if there:
        return _described(there[0], built=False)
    with tempfile.TemporaryDirectory(prefix="poc-toolkit-image-") as work:
        context = Path(work)
        for path, content in files.items():
            write_bytes(context / path, content.encode() if isinstance(content, str) else content)
        (context / "wheels").mkdir()
        build = {"path": str(context), "buildargs": {"BASE_IMAGE": base, "SERVER": server_requirement()}}
        python = build_image(client, build | {"target": "python", "network_mode": network})
        progress("collecting the packages")
        _collect(wheels, exact, _python_of(client, python), context / "wheels")
        progress(f"building {tag}")
        labels = {KIND_LABEL: KIND, REQUIREMENTS_LABEL: json.dumps(requirements)}
        try:
            build_image(client, build | {"tag": tag, "labels": labels, "network_mode": "none"})
        finally:
            with asking("removing the stages of the build"):
                client.images.prune(filters=STAGES)
    return _described(image_here(client, tag, mend="docker images"), built=True)


def write_sbom(image: CpuImage, file: Path) -> Path:
    """Write the software list of a CPU image (CycloneDX JSON), read out of it without starting it."""
    client = connect()
    with asking(f"reading {SBOM_IN_IMAGE} of {image.name}"):
        container = client.containers.create(image.name)
        try:
            chunks, _ = container.get_archive(SBOM_IN_IMAGE)
        finally:
            container.remove(force=True)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        member = archive.extractfile(Path(SBOM_IN_IMAGE).name)
        assert member is not None
        write_bytes(file, member.read())
    return file


def _described(image: Any, *, built: bool) -> CpuImage:
    return CpuImage(
        name=image.tags[0],
        id=image.id,
        requirements=tuple(json.loads(image.labels.get(REQUIREMENTS_LABEL, "[]"))),
        bytes=image.attrs["Size"],
        built=built,
    )


def _digestible(files: Mapping[str, str | bytes]) -> dict[str, str]:
    return {path: content if isinstance(content, str) else content.decode() for path, content in files.items()}


def _names(wheels: Path | None) -> list[str]:
    return sorted(p.name for p in wheels.glob("*.whl")) if wheels else []


def build_image(client: DockerClient, arguments: Mapping[str, Any]) -> str:
    """Build an image and return its id. The engine tells what fails in the stream of its answer."""
    image, said, what = "", [], f"building {arguments.get('tag', 'an image')}"
    with asking(what):
        for event in client.api.build(decode=True, rm=True, forcerm=True, timeout=BUILD_TIMEOUT_S, **arguments):
            said.append(str(event.get("stream", "")))
            if "error" in event:
                end = "".join(said).splitlines()[-12:]
                raise refusal(what, f"{event['error']}\n  " + "\n  ".join(end), mend=BUILD_MEND)
            image = event.get("aux", {}).get("ID", image)
    return image


def _python_of(client: DockerClient, image: str) -> str:
    """The version of the Python of an image, "3.11"."""
    with asking("asking the base image for its Python"):
        options = {"network_mode": "none", "remove": True, "user": "1000:1000", "read_only": True, "cap_drop": ["ALL"]}
        said: bytes = client.containers.run(image, ["python3", "-c", PYTHON_VERSION], **options)
    return said.decode().strip()


def _collect(wheels: Path | None, requirements: tuple[str, ...], python: str, target: Path) -> None:
    """Put the wheels of everything into `target`, for the Python of the image and the processor of this machine."""
    source = ("--no-index", "--find-links", str(wheels)) if wheels else ()
    machine = platform.machine()
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, 16, -1)]
    fits = ("--only-binary=:all:", f"--python-version={python}", "--implementation=cp", *platforms)
    fits = (*fits, f"--platform=manylinux2014_{machine}")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", f"--dest={target}")
    for wanted in (requirements, ("--no-deps", server_requirement())):
        done = subprocess.run((*pip, *source, *fits, *wanted), capture_output=True, text=True, check=False)
        if "No module named pip" in done.stderr:
            raise MissingDependency(f"{sys.executable} has no pip", mend=f"{sys.executable} -m ensurepip")
        if done.returncode:
            raise EnvironmentProblem(
                f"the packages of the CPU image cannot be had: {done.stderr.strip()}",
                mend="let pip reach its index, or give a folder of wheels: --wheels DIR",
            )
