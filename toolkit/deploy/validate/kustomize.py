"""Whether kubectl makes of each kustomization what the bundle says it does (`kubernetes/rendered/`).

In: a written bundle. Out: one finding for each rendering. Needs kubectl of 1.27 or newer: older ones do not know all
that our kustomizations say, and are skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from toolkit.deploy.validate.documents import yaml_documents
from toolkit.deploy.validate.finding import Finding, judged
from toolkit.deploy.validate.tools import run

_TOOL = "kubectl kustomize"
_OLDEST = (1, 27)


def compare_renderings(bundle: Path) -> Iterator[Finding]:
    """For each file of kubernetes/rendered, whether it is what kubectl makes of the overlay, or base, of that name."""
    for rendered in sorted((bundle / "kubernetes" / "rendered").glob("*.yaml")):
        file = rendered.relative_to(bundle).as_posix()
        if reason := _absent():
            yield Finding(tool=_TOOL, file=file, outcome="skipped", reason=reason)
        else:
            yield judged(_TOOL, file, partial(_check_rendering, rendered))


@cache
def _absent() -> str:
    """Why kubectl cannot be asked; empty when it can."""
    if shutil.which("kubectl") is None:
        return "kubectl is not installed: kubernetes.io/docs/tasks/tools"
    done = subprocess.run(
        ("kubectl", "version", "--client", "--output", "json"), capture_output=True, text=True, timeout=60, check=False
    )
    version = json.loads(done.stdout)["clientVersion"] if done.returncode == 0 else {"major": "0", "minor": "0"}
    found = (int(version["major"]), int(version["minor"].rstrip("+")))
    return "" if found >= _OLDEST else f"kubectl is {found[0]}.{found[1]}, older than {_OLDEST[0]}.{_OLDEST[1]}"


def _check_rendering(rendered: Path) -> None:
    root = rendered.parents[1]
    folder = root / "base" if rendered.stem == "base" else root / "overlays" / rendered.stem
    done = run(("kubectl", "kustomize", str(folder)), root)
    if done.returncode != 0:
        raise ValueError(done.stderr.strip())
    ours = {name: _as_kubectl_reads(d) for name, d in _by_identity(rendered.read_text(encoding="utf-8")).items()}
    theirs = _by_identity(done.stdout)
    if different := [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]:
        raise ValueError(f"{', '.join(sorted(different))} is not what kubectl makes of {folder.relative_to(root)}")


def _by_identity(text: str) -> dict[str, Any]:
    return {_identity(document): document for document in yaml_documents(text)}


def _as_kubectl_reads(data: Any) -> Any:
    """Data in which U+0085, the next-line character, is a space: kubectl (1.32) makes one of it, even of an escape."""
    if isinstance(data, dict):
        return {key: _as_kubectl_reads(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_as_kubectl_reads(value) for value in data]
    return data.replace("\x85", " ") if isinstance(data, str) else data


def _identity(document: Any) -> str:
    metadata = document["metadata"]
    return f"{document['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
