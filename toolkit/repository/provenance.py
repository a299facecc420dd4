"""What an entry of ours was made from: toolkit.json beside its config.pbtxt, which no server reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from toolkit import __version__
from toolkit.records import read_json

PROVENANCE_FILE = "toolkit.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What an entry was made from. `source` is an artifact's, a step's or a folder's name, or a pipeline's models.

    `files` are the SHA-256 of the served version's files, by their paths in the entry; `batching` says why Triton
    batches the model, or why not.
    """

    kind: Literal["artifact", "step", "pipeline", "source"]
    source: str
    artifact_sha256: str
    source_sha256: str = ""
    precision: str = ""
    parity: str = ""
    batching: str = ""
    files: dict[str, str] = field(default_factory=dict)
    toolkit: str = __version__


def provenance_of(entry: Path) -> Provenance | None:
    """What an entry was made from; None for a foreign one. Raises ConfigurationError for a toolkit.json not ours."""
    file = entry / PROVENANCE_FILE
    return read_json(file, Provenance) if file.is_file() else None
