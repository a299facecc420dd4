"""The programs that judge a written bundle, each skipped with its reason where it is not installed.

In: a bundle's folder. Out: one finding for each program and file. They start nothing and use no network.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

from toolkit.deploy.validate.finding import Finding

#: A tool that takes longer than this hangs.
TIMEOUT_S = 120

_COMPOSE, _GPU_COMPOSE = "docker-compose.yaml", "docker-compose.gpu.yaml"
_COMPOSE_SCHEMA = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A command that judges `file`, run in `folder` of the bundle; `is_here` says whether it can be."""

    name: str
    folder: str
    file: str
    command: tuple[str, ...]
    is_here: Callable[[], bool]
    absent: str


def run_tools(bundle: Path) -> Iterator[Finding]:
    """What every program says about the files that it is for and that this bundle has."""
    for tool in (*_tools(bundle), *_terraform(bundle)):
        if (bundle / tool.folder / tool.file).exists():
            yield _run(tool, bundle)


def _run(tool: Tool, bundle: Path) -> Finding:
    file = f"{tool.folder}/{tool.file}".removesuffix("/.")
    if not tool.is_here():
        return Finding(tool=tool.name, file=file, outcome="skipped", reason=tool.absent)
    try:
        done = run(tool.command, bundle / tool.folder)
    except (OSError, subprocess.TimeoutExpired) as err:
        return Finding(tool=tool.name, file=file, outcome="failed", reason=str(err))
    if done.returncode == 0:
        return Finding(tool=tool.name, file=file, outcome="ok")
    return Finding(tool=tool.name, file=file, outcome="failed", reason=(done.stderr + done.stdout).strip())


def run(command: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    """The command's end, with what it printed. Raises OSError and subprocess.TimeoutExpired."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@cache
def answers(probe: tuple[str, ...]) -> bool:
    """Whether a program is here and works: `docker` may be there without its `compose` plug-in."""
    if shutil.which(probe[0]) is None:
        return False
    return subprocess.run(probe, capture_output=True, timeout=TIMEOUT_S, check=False).returncode == 0


def _tools(bundle: Path) -> tuple[Tool, ...]:
    compose = tuple(f for f in (_COMPOSE, _GPU_COMPOSE) if (bundle / "compose" / f).exists())
    return (
        Tool(
            name="compose schema",
            folder="compose",
            file=_COMPOSE,
            command=(*_COMPOSE_SCHEMA, *compose),
            is_here=partial(_has_module, "check_jsonschema"),
            absent="check-jsonschema is not installed: pip install 'poc-toolkit[validate]'",
        ),
        _compose_config(compose, "docker", "compose"),
        _compose_config(compose, "docker-compose"),
        _promtool("check", "config", "prometheus.yml"),
        _promtool("check", "rules", "rules.yml"),
        _promtool("test", "rules", "rules_test.yml"),
    )


def _has_module(name: str) -> bool:
    return find_spec(name) is not None


def _compose_config(files: tuple[str, ...], *program: str) -> Tool:
    name = " ".join(program)
    named = tuple(word for file in files for word in ("-f", file))
    return Tool(
        name=f"{name} config",
        folder="compose",
        file=_COMPOSE,
        command=(*program, *named, "--profile", "serving", "--profile", "observability", "config", "-q"),
        is_here=partial(answers, (*program, "version")),
        absent=f"{name} is not installed",
    )


def _promtool(verb: str, subject: str, file: str) -> Tool:
    return Tool(
        name=f"promtool {verb} {subject}",
        folder="observability/prometheus",
        file=file,
        command=("promtool", verb, subject, file),
        is_here=partial(answers, ("promtool", "--version")),
        absent="promtool is not installed: apt-get install prometheus",
    )


def _terraform(bundle: Path) -> Iterator[Tool]:
    for folder in sorted({file.parent for file in bundle.rglob("*.tf")}):
        yield Tool(
            name="terraform fmt",
            folder=folder.relative_to(bundle).as_posix(),
            file=".",
            command=("terraform", "fmt", "-check", "-diff", "-no-color"),
            is_here=partial(answers, ("terraform", "version")),
            absent="terraform is not installed: developer.hashicorp.com/terraform/install",
        )
