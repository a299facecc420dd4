"""Whether the figures of two runs may be set side by side, and in what the runs differ on purpose. Pure but for files.

Compared are machines and the runtimes that do the work: a difference there would be taken for one of the models. What
differs in models, configurations and requests is what a comparison is about: it is shown, never refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from toolkit.environment import Environment
from toolkit.records import digest_of_files, files_below
from toolkit.workflow.runs import Manifest, read_manifest, repository_of

#: What does the work. tritonserver comes with nvidia-pytriton, whose version stands for it.
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "nvidia-pytriton")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that differs between two runs, as text on either side; empty where a side does not have it."""

    what: str
    a: str
    b: str


def mismatches(a: Environment, b: Environment) -> tuple[Change, ...]:
    """The fields for which figures of the two environments do not compare; none when they do."""
    sides = [
        {
            "CPU": environment.cpu,
            "cores": f"{environment.cores:g}",
            "memory": f"{environment.memory_bytes / 2**30:.0f} GiB",
            "GPUs": ", ".join(f"{g.name} (driver {g.driver})" for g in environment.gpus) or "none",
            "system": _major(environment.system),
        }
        | {name: environment.packages.get(name, "not installed") for name in RUNTIMES}
        for environment in (a, b)
    ]
    return tuple(
        Change(what=key, a=sides[0][key], b=sides[1][key]) for key in sides[0] if sides[0][key] != sides[1][key]
    )


def why_not_comparable(a: Manifest, b: Manifest) -> tuple[str, ...]:
    """Why the recorded figures of two runs do not compare, one reason a line; none when they do."""
    for name, manifest in (("A", a), ("B", b)):
        if not manifest.environment.is_known:
            return (f"{name} was imported, and carries no environment",)
    if a.subject.remote != b.subject.remote:
        places = [manifest.subject.remote or "this machine" for manifest in (a, b)]
        return (f"A was served by {places[0]}, B by {places[1]}",)
    return tuple(f"{m.what}: {m.a} for A, {m.b} for B" for m in mismatches(a.environment, b.environment))


def changes(a: Path, b: Path) -> tuple[Change, ...]:
    """What two run folders differ in on purpose: model digests, configurations, requests, versions of the toolkit."""
    sides = [_traits(run) for run in (a, b)]
    keys = dict.fromkeys((*sides[0], *sides[1]))
    found = (_change(key, sides[0].get(key, ""), sides[1].get(key, "")) for key in keys)
    return tuple(change for change in found if change.a != change.b)


def _change(what: str, a: str, b: str) -> Change:
    """Of texts of several lines, such as a config.pbtxt, only the lines that the other one does not have."""
    lines = [[line.strip() for line in text.splitlines()] for text in (a, b)]
    only = [[line for line in own if line not in other] for own, other in (lines, lines[::-1])]
    several = max(map(len, lines)) > 1 and a and b
    return Change(what=what, a=" ".join(only[0]) if several else a, b=" ".join(only[1]) if several else b)


def _traits(run: Path) -> dict[str, str]:
    manifest, repository = read_manifest(run), repository_of(run)
    traits = {"measured": manifest.subject.measured, "toolkit": manifest.toolkit_version}
    traits |= {f"model {name}": digest[:12] for name, digest in manifest.model_sha256.items()}
    requests = run / "requests"
    if requests.is_dir():
        traits["requests"] = digest_of_files(requests, files_below(requests))[:12]
    for config in sorted(repository.glob("*/config.pbtxt")) if repository else ():
        traits[f"configuration of {config.parent.name}"] = config.read_text(encoding="utf-8")
    return traits


def _major(system: str) -> str:
    """A system without the parts of its release that say nothing of speed: "Linux 6.1 x86_64"."""
    return re.sub(r"(\d+\.\d+)\S*", r"\1", system, count=1)
