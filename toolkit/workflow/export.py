"""`toolkit export`: one model to an artifact folder, with its parity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from toolkit.artifact import Artifact
from toolkit.errors import UsageError
from toolkit.export.export import export
from toolkit.export.parity import ParityResult, top1
from toolkit.export.spec import ExportSpec
from toolkit.models.source import source_from_path
from toolkit.records import read_json
from toolkit.tensor import tensor_from_text
from toolkit.workflow.runs import Progress


def export_model(
    model: str,
    folder: Path,
    *,
    name: str | None,
    inputs: Sequence[str],
    samples: Path | None,
    opset: int,
    trust: bool,
    precision: Literal["fp32", "int4"] = "fp32",
    progress: Progress,
) -> tuple[Artifact, ParityResult]:
    """Export MODEL into `folder`, which must be absent or empty. Returns the artifact and its parity."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UsageError(f"{folder} exists already and is not empty", mend="choose another --output")
    source = source_from_path(model, trust=trust)
    spec = ExportSpec(
        inputs=tuple(tensor_from_text(t) for t in inputs), samples=samples, opset=opset, precision=precision
    )
    artifact = export(source, spec, folder, name=name or folder.resolve().name, task=top1, progress=progress)
    return artifact, read_json(folder / "parity.json", ParityResult)
