"""What the export is asked to do; and the request that the worker process is handed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from toolkit.artifact import FILE as ARTIFACT_FILE
from toolkit.errors import UsageError
from toolkit.export.confinement import Limits
from toolkit.export.noise import Noise
from toolkit.export.parity import Tolerance
from toolkit.models.language_model import LANGUAGE_MODEL_COMPANIONS, LANGUAGE_MODEL_FILE
from toolkit.models.source import Source
from toolkit.tensor import TensorSpec

#: What an artifact's folder holds besides the external data of an ONNX model.
REQUEST_FILE = "request.json"
LOG_FILE = "export.log"
PARITY_FILE = "parity.json"
LOCATE_FILE = "locate.json"
LOCATE_LOG_FILE = "locate.log"
REPRODUCE_FILE = "reproduce.sh"
MODEL_FILE = "model.onnx"
SAMPLES_FILE = "samples.npz"
REFERENCE_FILE = "reference.npz"
FACTS_FILE = "reference.json"
LENGTHS_FILE = "lengths.npz"
HELD_OUT_FILE = "held_out.npz"
HELD_OUT_REFERENCE_FILE = "held_out_reference.npz"
PROMPTS_FILE = "prompts.json"
GENERATION_FILE = "generation.json"
#: Above this the weights go into `model.onnx.data`; protobuf ends at 2 GB.
SINGLE_FILE_BYTES = 1_500_000_000
#: What a model can be had in; precision.PRECISIONS says how each is made.
PRECISION_NAMES = ("fp32", "fp16", "bf16", "int8-dynamic", "int8-qdq", "int8-qdq-trt")
OUTPUT_FILES = (
    ARTIFACT_FILE,
    REQUEST_FILE,
    LOG_FILE,
    PARITY_FILE,
    REPRODUCE_FILE,
    LOCATE_FILE,
    LOCATE_LOG_FILE,
    MODEL_FILE,
    SAMPLES_FILE,
    REFERENCE_FILE,
    FACTS_FILE,
    LENGTHS_FILE,
    HELD_OUT_FILE,
    HELD_OUT_REFERENCE_FILE,
    PROMPTS_FILE,
    GENERATION_FILE,
    LANGUAGE_MODEL_FILE,
    *LANGUAGE_MODEL_COMPANIONS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceFacts:
    """What the worker knows of the reference beside its values; it is in `reference.json`, and absent means nothing.

    `comparing` names the comparator that the kind of model needs (check.COMPARATORS). `noise` is by output, `origin`
    says where the samples are from. `modules` maps each module of a PyTorch model to the value of the ONNX graph that
    holds its output.
    """

    comparing: Literal["elements", "trees"] = "elements"
    noise: tuple[Noise, ...] = ()
    origin: str = ""
    notes: tuple[str, ...] = ()
    modules: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What quantising a language model's weights may cost; beyond it the artifact is kept as rejected.

    `perplexity_ratio` is perplexity over the original's; `top1_agreement` the share of tokens of a text at which both
    find the same one likeliest.
    """

    perplexity_ratio: float = 1.1
    top1_agreement: float = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSpec:
    """How to export. `inputs` name the axes; arrays come from `samples`, else from the model file, else at random.

    `samples` is an .npz by input name, an .npy for a model of one input, or a folder of NAME.npy files.
    `tolerance` None means the reference's own noise (noise.py), and the table by dtype where that is not known.
    `arguments` are handed to those functions of the customer's file that name them. For a language model `samples` is
    a text file of prompts, and `budget` judges int4. `limits` count where the source is of a kind that can hide code.
    `python` is the interpreter of the environment in which the worker runs; None means this one, or for a framework
    that does not fit into it the one that environments.py finds.
    """

    inputs: tuple[TensorSpec, ...] = ()
    samples: Path | None = None
    opset: int = 20
    batch_sizes: tuple[int, ...] = (1, 2, 3, 8)
    seed: int = 0
    precision: str = "fp32"
    tolerance: Tolerance | None = None
    budget: Budget = field(default_factory=Budget)
    sample_count: int = 64
    arguments: dict[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    python: Path | None = None

    def __post_init__(self) -> None:
        if self.sample_count < 1 or not self.batch_sizes or min(self.batch_sizes) < 1:
            raise UsageError(f"batch sizes {self.batch_sizes} with {self.sample_count} samples prove nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRequest:
    """What `python -m toolkit.export.worker` reads. Its paths are relative to the folder of the request.

    `row` is the sample on which `locate` looks for the first module that differs. `folders` are handed to the function
    that makes `arrays`, by the names of its arguments.
    """

    action: Literal["export", "inspect", "arrays", "locate", "convert"]
    source: Source
    spec: ExportSpec = field(default_factory=ExportSpec)
    row: int = 0
    folders: dict[str, Path] = field(default_factory=dict)

    def relative_to(self, folder: Path) -> WorkerRequest:
        """The request with paths as seen from `folder`, so that both can be moved together."""
        return self._with_paths(lambda path: Path(os.path.relpath(_absolute(path), folder.resolve())))

    def resolved_from(self, folder: Path) -> WorkerRequest:
        """The request with absolute paths, read from a file in `folder`."""
        return self._with_paths(lambda path: _absolute(folder / path))

    def _with_paths(self, moved: Callable[[Path], Path]) -> WorkerRequest:
        samples = None if self.spec.samples is None else moved(self.spec.samples)
        weights = None if self.source.weights is None else moved(self.source.weights)
        source = replace(self.source, path=moved(self.source.path), weights=weights)
        folders = {name: moved(path) for name, path in self.folders.items()}
        return replace(self, source=source, spec=replace(self.spec, samples=samples), folders=folders)


def variant_file(precision: str) -> str:
    """What the graph in this precision is called beside the float32 one in an entry of a repository."""
    return MODEL_FILE if precision == "fp32" else f"{precision}.onnx"


def precision_of(file: str) -> str:
    """The precision of a file that `variant_file` named."""
    return "fp32" if file == MODEL_FILE else file.removesuffix(".onnx")


def _absolute(path: Path) -> Path:
    """Absolute with the folder's links followed but not the file's: an ONNX file's data lies beside its link."""
    return path.parent.resolve() / path.name
