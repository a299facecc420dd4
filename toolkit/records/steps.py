"""`step`, the one mechanism by which anything is resumed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit import __version__
from toolkit.errors import ConfigurationError
from toolkit.records.data import to_data
from toolkit.records.files import digest_of_file, digest_of_value, files_below, read_json, write_json, writing

STEP_FILE = ".step.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What a finished step was made from, and the digest of each file that it left."""

    digest: str
    outputs: dict[str, str]


def step(run: Path, key: str, inputs: Any, do: Callable[[Path], None]) -> Path:
    """Make the folder `run/key` by calling `do(folder)`, unless it is already there and sound.

    It is sound when it was made from the same `inputs` (any value) by the same version of the toolkit and every file
    still has its recorded digest. `do` writes into a hidden folder beside it, which is renamed into place as the last
    act: a step that was killed leaves nothing that counts, a step that finished is never repeated.
    Returns `run/key`. Raises whatever `do` raises, and EnvironmentProblem when the disk is full.
    """
    place = run / key
    if is_finished(run, key, inputs):
        return place
    work = place.with_name(f".{place.name}.partial")
    with writing(place):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        do(work)
        outputs = {name: digest_of_file(work / name) for name in files_below(work)}
        write_json(work / STEP_FILE, StepRecord(digest=_step_digest(inputs), outputs=outputs))
        _sync_tree(work)
        shutil.rmtree(place, ignore_errors=True)
        work.replace(place)
    return place


def is_finished(run: Path, key: str, inputs: Any) -> bool:
    """Whether `run/key` holds the sound outputs of a step made from these inputs."""
    place = run / key
    if not (place / STEP_FILE).is_file():
        return False
    try:
        record = read_json(place / STEP_FILE, StepRecord)
        right = record.digest == _step_digest(inputs)
        return right and all(digest_of_file(place / n) == d for n, d in record.outputs.items())
    except ConfigurationError:
        return False


def _step_digest(inputs: Any) -> str:
    return digest_of_value({"inputs": to_data(inputs), "version": __version__})


def _sync_tree(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
