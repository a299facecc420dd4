"""The build context of the CPU image: the recipe, the backends, and the packages that the entries need, as versions.

In: the entries of a model repository. Out: texts by their path in the context, and a key that names what would be
built. Nothing here runs pip or asks a Docker engine (workflow/bundle_image.py does).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from toolkit.deploy.rendering import render
from toolkit.deploy.spec import requirements_below
from toolkit.environment import package_version
from toolkit.records import files_below
from toolkit.repository.entry import read_entries
from toolkit.serve.backend_directory import OURS

#: What every CPU image is found by, and the label that says which packages it was asked to hold.
REPOSITORY, KIND_LABEL, REQUIREMENTS_LABEL = "poc-toolkit/triton-cpu", "poc-toolkit.image", "poc-toolkit.requirements"
KIND = "triton-cpu"

#: nvidia-pytriton carries tritonserver; numpy 2 breaks its Python stub (triton-inference-server/server#7391).
SERVER_PACKAGE, SERVER_VERSION = "nvidia-pytriton", "0.7.0"
ALWAYS = ("numpy>=1.26,<2", "onnxruntime>=1.22")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def requirements_of(repository: Path) -> tuple[str, ...]:
    """What the Python steps and the toolkit's own backends of a repository import, as requirement lines."""
    entries = read_entries(repository)
    backends = {OURS / entry.config.backend for entry in entries if entry.config.backend}
    folders = (*(repository / entry.name for entry in entries), *sorted(backends))
    return tuple(sorted({*ALWAYS, *requirements_below(folders)}))


def pinned(requirements: Sequence[str]) -> tuple[str, ...]:
    """Each requirement at the version that is installed here, with which was measured; as it stands where none is."""
    return tuple(_pinned(requirement) for requirement in requirements)


def package_name(requirement: str) -> str:
    """The package of a requirement line, as PEP 503 writes it: `Pillow>=10` is `pillow`."""
    match = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", match.group().lower()) if match else requirement


def _pinned(requirement: str) -> str:
    name = package_name(requirement)
    version = package_version(name)
    # A local build ("2.8.0+cpu") is on no index.
    return f"{name}=={version}" if version and "+" not in version else requirement


def server_requirement() -> str:
    """The wheel that tritonserver is taken from, at the version that is installed here."""
    return f"{SERVER_PACKAGE}=={package_version(SERVER_PACKAGE) or SERVER_VERSION}"


def context_files(requirements: Sequence[str]) -> dict[str, str | bytes]:
    """Everything of the build context but the wheels, by path."""
    backends = [name for name in files_below(OURS) if name.endswith(".py") and "/" in name]
    return {
        "Dockerfile": render("cpu-image/Dockerfile"),
        "sbom.py": render("cpu-image/sbom.py"),
        "requirements.txt": "".join(f"{line}\n" for line in requirements),
        **{f"backends/{name}": (OURS / name).read_bytes() for name in backends},
    }


def covers(held: Sequence[str], needed: Sequence[str]) -> bool:
    """Whether an image that was asked to hold `held` holds the packages of `needed`."""
    return {package_name(r) for r in needed} <= {package_name(r) for r in held}
