"""Run folders: `runs/<name>/<utc>-<short hash>/`, each with a manifest that says what was run, on what, and when.

A run folder is the only thing that stages hand to each other on disk; `latest:<name>` names the newest one.
"""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from toolkit import __version__
from toolkit.environment import Environment, environment_here
from toolkit.errors import ConfigurationError, EnvironmentProblem, UsageError
from toolkit.load.pattern import Load
from toolkit.load.slo import Slo
from toolkit.records import digest_of_value, read_json, write_json, writing
from toolkit.tune.decision import Candidate

#: Called with a few words whenever something new begins.
Progress = Callable[[str], None]

MANIFEST, RESOLVED = "manifest.json", "poc.resolved.yaml"
RUNS = Path("runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is measured in a run, and against which objective. `remote`: where, if it was another machine."""

    title: str
    family: str
    inference: str
    measured: str
    models: tuple[str, ...]
    slo: Slo
    candidates: tuple[Candidate, ...]
    loads: tuple[Load, ...]
    remote: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a run folder holds and where its numbers come from. `ended` is empty while the run is not finished.

    `evidence` is the SHA-256 of each file that figures are computed from, sealed when the run was decided.
    """

    name: str
    command: str
    subject: Subject
    toolkit_version: str
    commit: str
    environment: Environment
    config_sha256: str
    model_sha256: dict[str, str]
    seed: int
    started: str
    ended: str = ""
    evidence: dict[str, str] = field(default_factory=dict)

    @property
    def device(self) -> str:
        """What the server ran on, "CPU" or "GPU"; empty where it is another machine that nobody asked."""
        return "" if self.subject.remote else self.environment.device


def utc_now() -> str:
    """The time now as ISO 8601 text in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_run(root: Path, name: str, command: str, subject: Subject, *, config: object, models: dict[str, str]) -> Path:
    """Make a fresh run folder under `root/name` with its manifest. Raises EnvironmentProblem when it cannot."""
    digest = digest_of_value({"config": config, "models": models})
    started = utc_now()
    stamp = started.replace("-", "").replace(":", "")
    with writing(root):
        for attempt in range(100):
            suffix = f"-{attempt}" if attempt else ""
            folder = root / name / f"{stamp}-{digest[:8]}{suffix}"
            if not folder.exists():
                break
        folder.mkdir(parents=True)
    manifest = Manifest(
        name=name,
        command=command,
        subject=subject,
        toolkit_version=__version__,
        commit=_commit(),
        environment=environment_here(),
        config_sha256=digest,
        model_sha256=models,
        seed=0,
        started=started,
    )
    write_json(folder / MANIFEST, manifest)
    return folder


def read_manifest(run: Path) -> Manifest:
    """The manifest of a run folder. Raises ConfigurationError when it is not one."""
    if not (run / MANIFEST).is_file():
        raise ConfigurationError(f"{run} is not a run folder: it has no {MANIFEST}", mend="name a folder under runs/")
    return read_json(run / MANIFEST, Manifest)


def finish_run(run: Path) -> None:
    """Stamp the end into the manifest."""
    write_json(run / MANIFEST, replace(read_manifest(run), ended=utc_now()))


def repository_of(run: Path) -> Path | None:
    """The repository that a run recommends: with its chosen configuration, else as it was built; None without one."""
    return next((p for n in ("chosen_repository", "repository") if (p := run / n).is_dir()), None)


def _newest_first(root: Path, name: str) -> list[Path]:
    return sorted((p.parent for p in (root / name).glob(f"*/{MANIFEST}")), reverse=True)


def latest_run(root: Path, name: str) -> Path | None:
    """The newest run of the PoC `name`, else of a model of that name, or None.

    What is measured of a model alone (a sweep, a diagnosis) has no repository and bears the model's name, which may be
    that of a PoC, too.
    """
    found = _newest_first(root, name)
    return next((f for f in found if (f / "repository").is_dir()), next(iter(found), None))


def resumable_run(root: Path, name: str, *, config: object, models: dict[str, str]) -> Path | None:
    """The newest run of `name` with the same configuration and models, or None."""
    digest = digest_of_value({"config": config, "models": models})
    return next((f for f in _newest_first(root, name) if read_manifest(f).config_sha256 == digest), None)


def run_from_text(text: str, root: Path = RUNS) -> Path:
    """The run folder that RUN names: a path, or `latest:<name>`. Raises UsageError when there is none."""
    head, colon, name = text.partition(":")
    if head == "latest" and colon:
        found = latest_run(root, name)
        if found is None:
            known = ", ".join(sorted(p.name for p in root.glob("*") if p.is_dir())) or "none"
            raise UsageError(
                f"there is no run of '{name}' under {root}/ (names there: {known})", mend="toolkit run first"
            )
        return found
    if not Path(text).is_dir():
        raise UsageError(f"{text} is not a run folder", mend="name a folder under runs/, or latest:<poc>")
    return Path(text)


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold a run folder for this process. Raises EnvironmentProblem when another one holds it."""
    with (run / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise EnvironmentProblem(
                f"{run} is being written by another process", mend="wait for it, or run without --resume"
            ) from err
        yield


def _commit() -> str:
    """The commit of the checkout that the toolkit runs from, or an empty text."""
    here = Path(__file__).parent
    try:
        asked = subprocess.run(["git", "-C", here, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return asked.stdout.strip()
