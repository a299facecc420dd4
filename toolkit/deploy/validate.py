"""Whether the files of a bundle are what they claim to be, each judged by the parser that will read it.

In: a Bundle in memory, or the folder of a written one. Out: one Finding per file and tool; a tool that is absent is
`skipped` with its reason. Nothing is started and no network is used.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from toolkit.deploy.bundle import Bundle
from toolkit.deploy.metrics import METRICS, metric_names
from toolkit.errors import ConfigurationError, ToolkitError

Outcome = Literal["ok", "failed", "skipped"]

#: A tool that takes longer than this hangs.
_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one tool said about one file; `reason` is empty when it is ok."""

    tool: str
    file: str
    outcome: Outcome
    reason: str = ""


def validate_bundle(bundle: Bundle) -> tuple[Finding, ...]:
    """What the parsers of this process say about a bundle that is not yet written."""
    copied = {path: copy.source.read_bytes() for path, copy in bundle.copies.items() if _is_read(path)}
    generated = {path: content for path, content in bundle.files.items() if _is_read(path)}
    return tuple(_parse_all({**generated, **copied}))


def validate_folder(folder: Path) -> tuple[Finding, ...]:
    """What every parser and tool that is here says about a written bundle. Raises ConfigurationError for any other."""
    if not (folder / "bundle.lock.json").is_file():
        raise ConfigurationError(
            f"{folder} is not a bundle: it has no bundle.lock.json", mend="toolkit deploy RUN --output DIR writes one"
        )
    paths = (p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file())
    texts = {path: (folder / path).read_bytes() for path in paths if _is_read(path)}
    applicable = (tool for tool in TOOLS if (folder / tool.folder / tool.file).is_file())
    return (*_parse_all(texts), *(_run(tool, folder) for tool in applicable))


def refuse_unsound(findings: tuple[Finding, ...]) -> None:
    """Raise ConfigurationError that names every failed finding, if there is one."""
    failed = [f"{f.file}: {f.tool}: {f.reason}" for f in findings if f.outcome == "failed"]
    if failed:
        raise ConfigurationError(
            "the bundle is not sound and was not written:\n  " + "\n  ".join(failed),
            mend="compare deploy_templates/ with the released ones, and run toolkit repo lint",
        )


# --- parsers of this process ------------------------------------------------------------------------------------------


def _is_read(path: str) -> bool:
    """Which files are read at all: of the model repository only the configurations, the rest is the customer's."""
    if path.startswith("model_repository/"):
        return path.endswith("/config.pbtxt")
    return path.endswith((".yaml", ".yml", ".json"))


def _parse_all(contents: Mapping[str, str | bytes]) -> Iterator[Finding]:
    for path, content in contents.items():
        for tool, parse in _parsers(path):
            try:
                parse(content.decode() if isinstance(content, bytes) else content, path)
            except (KeyError, TypeError) as err:
                yield Finding(tool=tool, file=path, outcome="failed", reason=f"not built as expected: {err!r}")
            except (ValueError, ToolkitError) as err:
                yield Finding(tool=tool, file=path, outcome="failed", reason=str(err))
            else:
                yield Finding(tool=tool, file=path, outcome="ok")


def _parsers(path: str) -> Iterator[tuple[str, Callable[[str, str], None]]]:
    if path.endswith(".pbtxt"):
        yield "ModelConfig protobuf", _parse_model_config
    if path.endswith((".yaml", ".yml")):
        yield "YAML", _parse_yaml
    if path.endswith(".json"):
        yield "JSON", _parse_json
    if path.startswith("observability/grafana/dashboards/"):
        yield "known metrics", _check_dashboard
    if path == "observability/prometheus/rules.yml":
        yield "known metrics", _check_rules


def _parse_model_config(text: str, where: str) -> None:
    from toolkit.repository.config import config_from_pbtxt

    config_from_pbtxt(text, where)


def _parse_yaml(text: str, _where: str) -> None:
    _documents(text)


def _yaml(text: str) -> Any:
    (document,) = _documents(text)
    return document


def _documents(text: str) -> tuple[Any, ...]:
    import yaml

    try:
        return tuple(yaml.safe_load_all(text))
    except yaml.YAMLError as err:
        raise ValueError(str(err)) from err


def _parse_json(text: str, _where: str) -> None:
    json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_dashboard(text: str, _where: str) -> None:
    _check_metrics(target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"])


def _check_rules(text: str, _where: str) -> None:
    _check_metrics(rule["expr"] for group in _yaml(text)["groups"] for rule in group["rules"])


def _check_metrics(expressions: Iterator[str]) -> None:
    for expression in expressions:
        if unknown := metric_names(expression) - METRICS:
            raise ValueError(f"{min(unknown)} is not a metric that Triton has; in: {expression}")


# --- tools ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A command that judges `file`, run in `folder` of the bundle; `is_here` says whether it can be."""

    name: str
    folder: str
    file: str
    command: tuple[str, ...]
    is_here: Callable[[], bool]
    absent: str


@cache
def _answers(probe: tuple[str, ...]) -> bool:
    """Whether a program is here and works: `docker` may be there without its `compose` plug-in."""
    if shutil.which(probe[0]) is None:
        return False
    return subprocess.run(probe, capture_output=True, timeout=_TIMEOUT_S, check=False).returncode == 0


def _has_check_jsonschema() -> bool:
    return importlib.util.find_spec("check_jsonschema") is not None


def _compose_config(*program: str) -> Tool:
    name, file, gpu = " ".join(program), "docker-compose.yaml", "docker-compose.gpu.yaml"
    profiles = ("--profile", "serving", "--profile", "observability")
    return Tool(
        name=f"{name} config",
        folder="compose",
        file=file,
        command=(*program, "-f", file, "-f", gpu, *profiles, "config", "-q"),
        is_here=partial(_answers, (*program, "version")),
        absent=f"{name} is not installed",
    )


def _promtool(verb: str, subject: str, file: str) -> Tool:
    return Tool(
        name=f"promtool {verb} {subject}",
        folder="observability/prometheus",
        file=file,
        command=("promtool", verb, subject, file),
        is_here=partial(_answers, ("promtool", "--version")),
        absent="promtool is not installed: apt-get install prometheus",
    )


_COMPOSE_SCHEMA = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")

TOOLS = (
    Tool(
        name="compose schema",
        folder="compose",
        file="docker-compose.yaml",
        command=(*_COMPOSE_SCHEMA, "docker-compose.yaml", "docker-compose.gpu.yaml"),
        is_here=_has_check_jsonschema,
        absent="check-jsonschema is not installed: pip install check-jsonschema",
    ),
    _compose_config("docker", "compose"),
    _compose_config("docker-compose"),
    _promtool("check", "config", "prometheus.yml"),
    _promtool("check", "rules", "rules.yml"),
    _promtool("test", "rules", "rules_test.yml"),
)


def _run(tool: Tool, bundle: Path) -> Finding:
    file = f"{tool.folder}/{tool.file}"
    if not tool.is_here():
        return Finding(tool=tool.name, file=file, outcome="skipped", reason=tool.absent)
    try:
        done = subprocess.run(
            tool.command, cwd=bundle / tool.folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        return Finding(tool=tool.name, file=file, outcome="failed", reason=str(err))
    if done.returncode == 0:
        return Finding(tool=tool.name, file=file, outcome="ok")
    return Finding(tool=tool.name, file=file, outcome="failed", reason=(done.stderr + done.stdout).strip())
