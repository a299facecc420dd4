"""A configuration that somebody tries: an edited copy of a repository, what the linter says of it, and what changed.

In: a repository, and per entry a partial ModelConfig. Out: an Edit. The repository itself is never touched; model files
of the copy are links to the same data.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import EnvironmentProblem
from toolkit.records import write_text, writing
from toolkit.repository.config import to_pbtxt, with_overrides
from toolkit.repository.diff import Difference, diff
from toolkit.repository.entry import read_entries
from toolkit.repository.lint import Remark, lint_repository
from toolkit.repository.publish import CONFIG_FILE

Change = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """The edited copy, what the linter says of it, and its differences from the repository that was served last."""

    repository: Path
    remarks: tuple[Remark, ...]
    differences: tuple[Difference, ...]

    @property
    def is_served(self) -> bool:
        """Whether nothing keeps a server from serving it as it is meant."""
        return not any(remark.severity == "error" for remark in self.remarks)


def try_change(repository: Path, copy: Path, change: Change) -> Edit:
    """Write `copy` as `repository` with `change` laid over it, lint it and compare it.

    Raises ConfigurationError for a field or a value that a ModelConfig does not have.
    """
    configs = {e.name: with_overrides(e.config, change.get(e.name, {})) for e in read_entries(repository)}
    with writing(copy):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(repository, copy, copy_function=_linked)
    for name, config in configs.items():
        (copy / name / CONFIG_FILE).unlink()  # it is a link to the original
        write_text(copy / name / CONFIG_FILE, to_pbtxt(config))
    return Edit(repository=copy, remarks=lint_repository(copy), differences=diff(repository, copy))


def setting_of(name: str, change: Change) -> str:
    """The `--set` of `toolkit run` that measures a change in place of poc.yaml's candidates, under a name."""
    return f"search.candidates={json.dumps({name: change}, separators=(', ', ': '))}"


def _linked(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError as err:
        try:
            shutil.copy2(source, destination)
        except OSError:
            raise EnvironmentProblem(f"{destination} cannot be written: {err.strerror}") from err
