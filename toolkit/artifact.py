"""An Artifact: a model file on disk that a stage produced, with the digest and signature it was checked with.

An artifact is a folder: `artifact.json` (this value), the model file and what belongs to it, `parity.json`.
This module does not know how an artifact was made or who will serve it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import ConfigurationError
from toolkit.records import digest_of_files, read_json, write_json
from toolkit.tensor import Signature

FILE = "artifact.json"
#: The format of an ONNX graph with a key/value cache, its tokenizer and its description beside it.
LANGUAGE_MODEL = "onnx-causal-lm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A model on disk. `files` are relative to the folder, the model file first; `sha256` covers all of them."""

    name: str
    format: str
    precision: str
    files: tuple[str, ...]
    signature: Signature
    sha256: str
    built_on: str
    opset: int | None = None
    source_sha256: str = ""
    parity: str = "unchecked"


def write_artifact(folder: Path, artifact: Artifact) -> None:
    """Write `artifact.json` beside the files it describes."""
    write_json(folder / FILE, artifact)


def read_artifact(folder: Path) -> Artifact:
    """Read a folder back and check that its files still have the recorded digest. Raises ConfigurationError."""
    if not (folder / FILE).is_file():
        raise ConfigurationError(
            f"{folder} is not an artifact: it has no {FILE}", mend="toolkit export MODEL --output DIR writes one"
        )
    artifact = read_json(folder / FILE, Artifact)
    found = digest_of_files(folder, artifact.files)
    if found != artifact.sha256:
        raise ConfigurationError(
            f"{folder}: the model files have digest {found[:12]}, artifact.json says {artifact.sha256[:12]}",
            mend="export the model again",
        )
    return artifact
