"""A Compose project of ours: `docker compose`, else docker-compose, run on a bundle's files with ours on top.

In: the folder of the files, a project's name, variables. Out: what the program said. It does not know the services.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from toolkit.errors import EnvironmentProblem, MissingDependency
from toolkit.serve.docker_engine import refusal

PROGRAMS = (("docker", "compose"), ("docker-compose",))
TIMEOUT_S = 900
LAST_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One project of Compose. `files` are relative to `folder` or absolute; `variables` win over the folder's .env."""

    program: tuple[str, ...]
    folder: Path
    files: tuple[str, ...]
    name: str
    variables: Mapping[str, str]


@cache
def compose_program() -> tuple[str, ...]:
    """The Compose that is here, the plug-in first. Raises MissingDependency."""
    for program in PROGRAMS:
        if shutil.which(program[0]) and _answers(program):
            return program
    raise MissingDependency(
        "neither 'docker compose' nor docker-compose is here",
        mend="sudo apt-get install docker-compose-plugin; of Debian: sudo apt-get install docker-compose",
    )


def compose_version(program: tuple[str, ...]) -> str:
    """The program with its version, "docker-compose 1.29.2"."""
    done = subprocess.run((*program, "version", "--short"), capture_output=True, text=True, check=False)
    return f"{' '.join(program)} {done.stdout.strip()}"


def _answers(program: tuple[str, ...]) -> bool:
    done = subprocess.run((*program, "version", "--short"), capture_output=True, text=True, check=False)
    return done.returncode == 0


def run_compose(project: Project, *arguments: str) -> str:
    """Run one command of Compose to its end and return what it printed. Raises EnvironmentProblem when it fails."""
    files = [option for file in project.files for option in ("--file", file)]
    command = (*project.program, "--project-name", project.name, *files, *arguments)
    what = f"{' '.join(project.program)} {' '.join(arguments)}"
    try:
        done = subprocess.run(
            command,
            cwd=project.folder,
            env=_environment(project.variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise EnvironmentProblem(f"{what}: {err}", mend="docker info shows whether the engine answers") from err
    if done.returncode:
        raise refusal(what, "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-LAST_LINES:]))
    return done.stdout


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, but for what it tells Compose of another project."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")} | dict(variables)
