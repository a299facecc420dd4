"""The evidence of a run: the files that every figure of its report is computed from, sealed by their digests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from toolkit.errors import ConfigurationError
from toolkit.records import digest_of_file, write_json
from toolkit.workflow.measure import OBSERVATION, RECORDS
from toolkit.workflow.runs import MANIFEST, RESOLVED, read_manifest

TRIED = "tried.json"
#: Of each measured point: what was recorded, what was seen besides, and what a search was told of it.
#: `measurement.json` is not evidence but a result, computed again from these.
POINTS = tuple(f"{place}/**/{name}" for place in ("trials", "drift") for name in (RECORDS, OBSERVATION, TRIED))
OTHERS = (
    "parity/*.json",
    "artifacts/*/artifact.json",
    "artifacts/*/parity.json",
    "data/*/arrays.npz",
    "recall/*/recall.json",
    "repository/*/config.pbtxt",
    "requests/*",
    "max_rate.json",
    "rooflines.json",
    "served.json",
    "tuned.json",
    "triton.log",
    RESOLVED,
)


def seal_evidence(run: Path) -> None:
    """Write the digest of every file of evidence into the manifest, in place of what stood there."""
    manifest = read_manifest(run)
    write_json(run / MANIFEST, replace(manifest, evidence=_digests(run, (*POINTS, *OTHERS))))


def add_evidence(run: Path, place: str) -> None:
    """Seal what was measured below `place` besides; nothing that is sealed already is touched."""
    manifest = read_manifest(run)
    added = _digests(run, tuple(f"{place}/**/{name}" for name in (RECORDS, OBSERVATION)))
    write_json(run / MANIFEST, replace(manifest, evidence={**added, **manifest.evidence}))


def altered_evidence(run: Path) -> dict[str, str]:
    """What is wrong with each file of the sealed evidence that is not as it was; empty when all is.

    Raises ConfigurationError for a run whose evidence was never sealed.
    """
    sealed = read_manifest(run).evidence
    if not sealed:
        raise ConfigurationError(
            f"{run}: the manifest holds no digests of its records; it was made by an older toolkit, or is not finished",
            mend="run it again, or with --resume",
        )
    found = {}
    for name, digest in sealed.items():
        if not (run / name).is_file():
            found[name] = "is gone"
        elif digest_of_file(run / name) != digest:
            found[name] = "was altered since the run was decided"
    return found


def _digests(run: Path, patterns: Iterable[str]) -> dict[str, str]:
    files = sorted({p for pattern in patterns for p in run.glob(pattern) if p.is_file() and ".partial" not in str(p)})
    return {str(p.relative_to(run)): digest_of_file(p) for p in files}
