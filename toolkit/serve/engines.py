"""TensorRT engines of a repository, checked before a server is started: can they run on this GPU?

In: a repository. Out: nothing, or an error that says what an engine was built for, and the command that builds it anew.
Triton itself would fail while loading, with a message of TensorRT's serialization.
"""

from __future__ import annotations

from pathlib import Path

from toolkit.errors import EnvironmentProblem
from toolkit.export.engine import STAMP_FILE, EngineStamp, stamp_here, why_not
from toolkit.records import read_json
from toolkit.repository.publish import version_folders


def check_engines(repository: Path, models: tuple[str, ...] | None, *, here: EngineStamp | None = None) -> None:
    """Check every stamped engine that would be loaded, `models` or all of them, at its latest version.

    `here` is what they are to run on; by default this machine. Raises EnvironmentProblem.
    """
    for entry in sorted(p for p in repository.iterdir() if p.is_dir()):
        versions = version_folders(entry) if models is None or entry.name in models else ()
        stamp = versions[-1] / STAMP_FILE if versions else None
        if stamp is None or not stamp.is_file():
            continue
        reason = why_not(read_json(stamp, EngineStamp), here or stamp_here())
        if reason:
            raise EnvironmentProblem(
                f"entry '{entry.name}': its TensorRT engine cannot run here: {reason}",
                mend="toolkit export MODEL --format tensorrt builds it for this GPU; or serve its ONNX artifact",
            )
