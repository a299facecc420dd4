"""What a TensorRT engine is built for, and whether it can run here: shapes, options, the stamp of where it was built.

In: a signature, options, stamps. Out: shape profiles, the trtexec command for the same build, the reason why an engine
cannot run. Nothing here imports TensorRT.
Sources: TensorRT documentation, "Engine Compatibility", "Hardware Compatibility"; trtexec --help.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from toolkit.environment import gpus_here, package_version
from toolkit.errors import ConfigurationError, UsageError
from toolkit.tensor import BATCH, Signature

ENGINE_FILE = "model.plan"
STAMP_FILE = "engine.json"
TIMING_CACHE_FILE = "timing.cache"
BUILD_FILE = "build_engine.sh"
BUILT_ON_FILE = "built_on.txt"
#: The first architecture of which engines can be made that run on all later ones.
AMPERE = (8, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStamp:
    """Where an engine was built, or where one is to run. `architecture` is the compute capability, "9.0"; an empty text
    is something that is not known. The two compatibilities are those that it was built with, `most_rows` the largest
    batch of its profile (0: not known).
    """

    tensorrt: str
    gpu: str
    architecture: str
    driver: str
    hardware: Literal["none", "ampere+", "same"] = "none"
    any_version: bool = False
    most_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How an engine is built. `axes` gives (least, usual, most) lengths by axis name; the batch is one of them.

    `hardware`: "ampere+" makes an engine for all GPUs from Ampere on, "same" for all of one compute capability, both at
    some cost in speed. `any_version` makes one that later TensorRTs of the same major version load.
    """

    axes: dict[str, tuple[int, int, int]]
    hardware: Literal["none", "ampere+", "same"] = "none"
    any_version: bool = False
    workspace_bytes: int = 4 << 30
    optimization_level: int = 3

    @property
    def most_rows(self) -> int:
        """The largest batch; 1 where the model has no batch."""
        return self.axes[BATCH][2] if BATCH in self.axes else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeProfile:
    """The shapes of one input: the smallest, the one that kernels are chosen for, the largest."""

    name: str
    least: tuple[int, ...]
    usual: tuple[int, ...]
    most: tuple[int, ...]


def axes_for(signature: Signature, sizes: Mapping[str, int], max_batch_size: int) -> dict[str, tuple[int, int, int]]:
    """(least, usual, most) by axis: the batch from 1 to `max_batch_size`, built for the full one; others from 1 to the
    length in `sizes`, which is that of the samples. Raises UsageError for an axis of unknown length.
    """
    named = {d for tensor in signature.inputs for d in tensor.shape if isinstance(d, str)}
    unknown = sorted(named - set(sizes) - {BATCH})
    if unknown:
        raise UsageError(f"how long axis '{unknown[0]}' may be is not known", mend="give --samples of that length")
    lengths = {name: (1, sizes[name], sizes[name]) for name in named if name != BATCH}
    return lengths | ({BATCH: (1, max_batch_size, max_batch_size)} if BATCH in named else {})


def shape_profiles(signature: Signature, axes: Mapping[str, tuple[int, int, int]]) -> tuple[ShapeProfile, ...]:
    """A profile for every input with a named axis. Raises UsageError for lengths that are not in order."""
    for axis, (least, usual, most) in axes.items():
        if not 1 <= least <= usual <= most:
            raise UsageError(f"axis '{axis}': {least}, {usual}, {most} are not least <= usual <= most, from 1")

    def shape(dims: tuple[int | str, ...], which: int) -> tuple[int, ...]:
        return tuple(d if isinstance(d, int) else axes[d][which] for d in dims)

    return tuple(
        ShapeProfile(name=t.name, least=shape(t.shape, 0), usual=shape(t.shape, 1), most=shape(t.shape, 2))
        for t in signature.inputs
        if any(isinstance(d, str) for d in t.shape)
    )


def trtexec_arguments(signature: Signature, options: EngineOptions, onnx: str) -> tuple[str, ...]:
    """The arguments with which trtexec of TensorRT 10 and 11 builds the engine that `engine_from_onnx` builds.

    The precision is in the ONNX file: TensorRT 11 has no --fp16 or --int8 any more.
    """
    profiles = shape_profiles(signature, options.axes)

    def shapes(kind: str) -> str:
        return ",".join(f"{p.name}:{'x'.join(map(str, getattr(p, kind)))}" for p in profiles)

    sized = [f"--{flag}={shapes(kind)}" for flag, kind in _SHAPE_FLAGS.items()] if profiles else []
    hardware = {"none": [], "ampere+": ["--hardwareCompatibilityLevel=ampere+"]}
    hardware["same"] = ["--hardwareCompatibilityLevel=sameComputeCapability"]
    return (
        f"--onnx={onnx}",
        f"--saveEngine={ENGINE_FILE}",
        "--stronglyTyped",
        *sized,
        f"--memPoolSize=workspace:{options.workspace_bytes >> 20}M",
        f"--builderOptimizationLevel={options.optimization_level}",
        f"--timingCacheFile={TIMING_CACHE_FILE}",
        *hardware[options.hardware],
        *(["--versionCompatible"] if options.any_version else []),
        "--skipInference",
    )


_SHAPE_FLAGS = {"minShapes": "least", "optShapes": "usual", "maxShapes": "most"}


def build_script(arguments: tuple[str, ...], image: str) -> str:
    """The script that builds and stamps the engine with trtexec in `image`, on a machine with docker and the GPU."""
    return _SCRIPT.format(image=image, arguments=" \\\n    ".join(shlex.quote(argument) for argument in arguments))


_SCRIPT = """\
#!/bin/sh
# Builds a TensorRT engine from the ONNX file beside this script, with trtexec in {image}.
# It needs docker and the GPU that will serve: an engine is tied to the TensorRT version and the GPU's architecture.
set -e
cd "$(dirname "$0")"
docker run --rm --gpus all -v "$PWD":/work -w /work {image} sh -ec '
  PATH=$PATH:/usr/src/tensorrt/bin
  trtexec "$@" >build_engine.log 2>&1 || {{ tail -n 20 build_engine.log; exit 1; }}
  sed -n "s/.*\\[TensorRT v\\([0-9]*\\)\\].*/\\1/p" build_engine.log | head -n 1 >built_on.txt
  nvidia-smi --id=0 --query-gpu=name,compute_cap,driver_version --format=csv,noheader >>built_on.txt
' build \\
    {arguments}
"${{PYTHON:-python3}}" -m toolkit.export.engine_export .
"""


def stamp_from_build(text: str, options: EngineOptions) -> EngineStamp:
    """The stamp from what build_engine.sh left in built_on.txt: trtexec's number of its version, and the GPU's facts.

    Raises ConfigurationError for any other text.
    """
    try:
        number, facts = text.strip().splitlines()
        gpu, architecture, driver = (part.strip() for part in facts.split(","))
        version = int(number)
    except ValueError as err:
        raise ConfigurationError(
            f"{BUILT_ON_FILE} is not what build_engine.sh writes: {text!r}", mend="run build_engine.sh again"
        ) from err
    return EngineStamp(
        tensorrt=f"{version // 10000}.{version // 100 % 100}.{version % 100}",
        gpu=gpu,
        architecture=architecture,
        driver=driver,
        hardware=options.hardware,
        any_version=options.any_version,
        most_rows=options.most_rows,
    )


def stamp_here(tensorrt: str = "") -> EngineStamp:
    """What an engine would run on here: the first GPU, and the installed TensorRT unless that of a server is given."""
    gpu = next(iter(gpus_here()), None)
    return EngineStamp(
        tensorrt=tensorrt or package_version("tensorrt"),
        gpu=gpu.name if gpu else "",
        architecture=gpu.architecture if gpu else "",
        driver=gpu.driver if gpu else "",
    )


def why_not(built: EngineStamp, here: EngineStamp) -> str:
    """Why an engine cannot run here, or an empty text. What is not known of either side is not held against it."""
    if not here.gpu:
        return f"it was built for {_gpu(built)}, and this machine has no GPU"
    if built.architecture and here.architecture and not _architecture_fits(built, here):
        return f"it was built for {_gpu(built)}, and this machine has {_gpu(here)}"
    if built.tensorrt and here.tensorrt and not _version_fits(built, here):
        return f"it was built by TensorRT {built.tensorrt}, and TensorRT {here.tensorrt} is to run it"
    return ""


def _gpu(stamp: EngineStamp) -> str:
    return f"{stamp.gpu or 'a GPU'} (compute capability {stamp.architecture or 'not known'})"


def _architecture_fits(built: EngineStamp, here: EngineStamp) -> bool:
    capability = tuple(int(part) for part in here.architecture.split("."))
    return built.architecture == here.architecture or (built.hardware == "ampere+" and capability >= AMPERE)


def _version_fits(built: EngineStamp, here: EngineStamp) -> bool:
    """The same version; with `any_version` any later one of the same major."""
    was, now = (tuple(int(p) for p in s.tensorrt.split(".")[:3] if p.isdigit()) for s in (built, here))
    return was == now or (built.any_version and was[:1] == now[:1] and was <= now)
