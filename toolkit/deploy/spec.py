"""What is deployed, and the figures that justify it. In: the facts of a run. Out: a checked value.

This module does not know what a target's files look like.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from toolkit import __version__
from toolkit.deploy.bundle import checked_path
from toolkit.deploy.server import Llm
from toolkit.deploy.sizing import Sizing
from toolkit.deploy.smoke import SmokeGeneration, SmokeRequest
from toolkit.errors import ConfigurationError, UsageError
from toolkit.load.pattern import Load
from toolkit.load.slo import Slo
from toolkit.load.verdict import Outcome

#: Server 2.73.0 with the onnxruntime, tensorrt and python backends.
#: Source: docs.nvidia.com/deeplearning/triton-inference-server/release-notes/rel-26-09.html
TRITON_IMAGE = "nvcr.io/nvidia/tritonserver:26.09-py3"
IMAGE_BACKENDS = ("onnxruntime", "tensorrt", "python")

Target = Literal["compose", "kubernetes", "kserve"]

MIB = 2**20

#: Where the images that the customer builds are said to be, until somebody says where: a name that never resolves
#: (RFC 2606), so that no stranger's image is pulled in their place.
NO_REGISTRY = "registry.invalid"

#: What tritonserver, its backends and the python stubs take before any model is loaded.
_SERVER_BYTES = 2048 * MIB
#: Weights as loaded, the runtime's copy of them while it optimises, and the arenas of a few instances.
_BYTES_PER_MODEL_BYTE = 4

#: host/path:tag or host/path@digest, as github.com/distribution/reference has it, with the tag or digest required.
_IMAGE = re.compile(r"[a-z0-9]+(?:[._:/-]+[a-zA-Z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})")
#: host[:port][/path], of the same grammar; the host has a dot or a port, else it would be a name on Docker Hub.
_REGISTRY = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*([.:][a-z0-9]+)(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
#: A PEP 508 requirement by name and version; options, paths and addresses are left to the customer's own image.
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._ -]+\])?( *(===|==|~=|!=|<=|>=|<|>) *[A-Za-z0-9.*+!_-]+,?)*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFigures:
    """What was measured of streamed answers besides: times of a request, and tokens of all of them a second."""

    ttft_p99_s: float | None
    tpot_p99_s: float | None
    tokens_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured and where. `server` is the image that served, or what served instead of one."""

    throughput_per_s: float
    latency_p99_s: float | None
    load: str
    outcome: Outcome
    environment: str
    device: str
    server: str
    streams: StreamFigures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSpec:
    """Everything that a target needs to know. Raises UsageError for values that no target could deploy.

    `entries` are the folders of `repository` that are deployed, `model` the one whose figures were measured.
    `figures` is None where nothing was chosen. `memory_bytes` is the container's limit and includes `shm_bytes`; `cpus`
    are the cores that it had when it was measured. `registry` is where the images that the customer builds will be.
    `overlays` are those of the Kubernetes targets. `load` is the one that was chosen, None where none was.
    `server` is one of servers.py, and `llm` what a GPU server of language models is given for what was measured.
    `requirements` and `backends` are what the image lacks: Python packages, and folders of serve/backends.
    """

    name: str
    title: str
    repository: Path
    entries: tuple[str, ...]
    model: str
    run_id: str
    slo: Slo
    figures: Figures | None
    smoke: SmokeRequest | SmokeGeneration
    memory_bytes: int
    shm_bytes: int = 1024 * MIB
    gpu: bool = False
    requirements: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    image: str = TRITON_IMAGE
    server: str = "triton"
    llm: Llm | None = None
    cpus: float = 2.0
    sizing: Sizing = field(default_factory=Sizing)
    load: Load | None = None
    registry: str = NO_REGISTRY
    overlays: tuple[str, ...] = ()
    target: Target = "compose"
    toolkit_version: str = __version__

    def __post_init__(self) -> None:
        _check_names(self)
        if self.target not in get_args(Target):
            raise UsageError(f"'{self.target}' is not a target", mend=f"use one of: {', '.join(get_args(Target))}")
        if self.overlays and self.target == "compose":
            raise UsageError(f"{self.target} has no overlays", mend="add --target kubernetes")
        if not _IMAGE.fullmatch(self.image):
            raise UsageError(f"'{self.image}' is not an image with a tag or digest", mend=f"for example {TRITON_IMAGE}")
        if not _REGISTRY.fullmatch(self.registry):
            raise UsageError(f"'{self.registry}' is not a registry", mend="for example registry.example.com/team")
        if not 0 < self.shm_bytes < self.memory_bytes:
            raise UsageError(f"shared memory of {self.shm_bytes} bytes does not fit into {self.memory_bytes}")
        for requirement in self.requirements:
            _check_requirement(requirement, self.name)

    @property
    def slug(self) -> str:
        """`name` as `slug_of` has it."""
        return slug_of(self.name)

    @property
    def has_recipe(self) -> bool:
        """Whether the model repository needs more than the image holds, so that one is built from it."""
        return bool(self.requirements or self.backends)

    @property
    def is_measured_on_target(self) -> bool:
        """Whether the figures come from the deployed image on the same kind of device."""
        device = "GPU" if self.gpu else "CPU"
        return self.figures is not None and (self.figures.server, self.figures.device) == (self.image, device)


def slug_of(name: str) -> str:
    """A name reduced to a-z, 0-9 and '-', 48 characters at most; a digest keeps lossy reductions apart."""
    wanted = name.lower().replace("_", "-")
    slug = re.sub(r"[^a-z0-9]+", "-", wanted).strip("-")[:40].rstrip("-")
    return slug if slug == wanted else f"{slug or 'poc'}-{hashlib.sha256(name.encode()).hexdigest()[:7]}"


def default_memory_bytes(model_bytes: int, shm_bytes: int = 1024 * MIB) -> int:
    """A memory limit for models of `model_bytes` on disk, in whole MiB: a conservative assumption, no measurement."""
    wanted = _SERVER_BYTES + shm_bytes + _BYTES_PER_MODEL_BYTE * model_bytes
    return -(-wanted // MIB) * MIB


def requirements_below(folders: Iterable[Path]) -> tuple[str, ...]:
    """The lines of every requirements.txt below the folders, sorted, each once. Raises ConfigurationError."""
    found = set()
    for path in (path for folder in folders for path in folder.rglob("requirements.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if requirement := line.partition("#")[0].strip():
                _check_requirement(requirement, str(path))
                found.add(requirement)
    return tuple(sorted(found))


def _check_requirement(requirement: str, where: str) -> None:
    if not _REQUIREMENT.fullmatch(requirement):
        raise ConfigurationError(
            f"{where}: '{requirement}' is not a package with an optional version",
            mend="write it as name or name>=version; build an image of your own for anything else",
        )


def _check_names(spec: DeploymentSpec) -> None:
    for name in ("name", "title", "model", "run_id", "toolkit_version"):
        text = getattr(spec, name)
        if not text or not _is_utf8(text):
            raise UsageError(f"{name} {text!r} is empty or not valid Unicode")
    for entry in spec.entries:
        if "/" in checked_path(entry) or not (spec.repository / entry).is_dir():
            raise UsageError(f"{spec.repository} has no entry {entry!r}", mend="toolkit repo list shows its entries")
    if spec.model not in spec.entries and (spec.entries or spec.llm is None):
        raise UsageError(f"the measured model {spec.model!r} is not among the entries {', '.join(spec.entries)}")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
