"""Every line that a workshop prints goes through the real command line, and comes out as what the workshop did."""

from __future__ import annotations

import ast
import importlib
import inspect as signatures
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from toolkit.cli.app import app
from toolkit.load.duration import seconds_from_text
from toolkit.workshop import actions
from toolkit.workshop.actions import Action
from toolkit.workshop.opened import Opened

RUN = Path("runs/tiny/20260301T120000Z-0a1b2c3d")
#: Where each name of a printed call is found.
HOMES = {
    "examine": "toolkit.workflow.doctor",
    "inspect_model": "toolkit.export.inspect",
    "source_from_path": "toolkit.models.source",
    "read_poc": "toolkit.poc",
    "build_poc": "toolkit.workflow.run",
    "run_poc": "toolkit.workflow.run",
    "lint_repository": "toolkit.repository.lint",
    "diff": "toolkit.repository.diff",
    "serve_embedded": "toolkit.serve.embedded",
    "infer_once": "toolkit.workflow.infer",
    "generate_once": "toolkit.workflow.generate",
    "endpoint_from_url": "toolkit.serve.client",
    "Sampling": "toolkit.serve.generation",
    "run_tune": "toolkit.workflow.tune",
    "Objective": "toolkit.tune.objective",
    "seconds_from_text": "toolkit.load.duration",
    "run_diagnose": "toolkit.workflow.diagnose",
    "Sweep": "toolkit.workflow.sweep",
    "size_run": "toolkit.workflow.size",
    "demand_from": "toolkit.size.demand",
    "write_report": "toolkit.workflow.report",
    "deploy_run": "toolkit.workflow.deploy",
    "Deployment": "toolkit.workflow.deploy",
    "hand_over": "toolkit.workflow.handover",
    "Path": "pathlib",
}
#: What `Asked` is within each of these calls.
ASKED = {
    "run_tune": "toolkit.workflow.tune",
    "run_diagnose": "toolkit.workflow.diagnose",
    "size_run": "toolkit.size.plan",
}


def parsed(line: str) -> dict[str, Any]:
    """The options of a line as the real command line understands them."""
    command: Any = typer.main.get_command(app)
    _, *words = shlex.split(line)
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    params: dict[str, Any] = command.make_context(command.name, words).params
    return params


def every_action(tiny: Opened) -> dict[str, tuple[Action, dict[str, object]]]:
    poc = tiny.poc
    changed = {"model": "my/model.onnx", "settings": ("parity.clients=8", "loads=[{clients: 2}]")}
    size = actions.size(RUN, rate=5000, headroom=0.3, prices=RUN / "prices.yaml")
    built, plain = actions.build(poc, changed), actions.measure(poc, {})
    return {
        "doctor": (actions.doctor(), {}),
        "inspect": (actions.inspect("my model.py:make"), {"model": "my model.py:make"}),
        "build": (
            built,
            {"until": "repository", "resume": True, "model": "my/model.onnx", "set_": changed["settings"]},
        ),
        "measure": (
            plain,
            {"poc": poc.folder, "resume": True, "publish": False, "until": "report", "smoke": poc.smoke},
        ),
        "lint": (actions.lint(RUN / "edited"), {"repository": RUN / "edited"}),
        "diff": (
            actions.diff(RUN / "repository", RUN / "edited"),
            {"one": RUN / "repository", "other": RUN / "edited"},
        ),
        "serve": (actions.serve(RUN / "repository"), {"repository": RUN / "repository"}),
        "infer": (actions.infer("net", "http://127.0.0.1:1", {}), {"model": "net", "url": "http://127.0.0.1:1"}),
        "stream": (
            actions.infer("llm", "http://127.0.0.1:1", {"prompt": "a 'b' $c", "max_tokens": 8, "temperature": 0.5}),
            {"prompt": "a 'b' $c", "max_tokens": 8, "temperature": 0.5},
        ),
        "tune": (
            actions.tune(poc, budget="40s", slo="p95=9ms", settings=("a.b=1",)),
            {"target": str(poc.folder), "budget": "40s", "slo": "p95=9ms", "set_": ("a.b=1",), "resume": True},
        ),
        "diagnose": (
            actions.diagnose(RUN, window="2s", apply=True),
            {"target": str(RUN), "apply": True, "window": "2s"},
        ),
        "size": (size, {"run": str(RUN), "rate": 5000.0, "headroom": 0.3, "prices": str(RUN / "prices.yaml")}),
        "report": (actions.report(RUN), {"run": str(RUN)}),
        "deploy": (
            actions.deploy(RUN, RUN / "out", target="compose", allow_unproven=True),
            {"run": str(RUN), "output": RUN / "out", "target": "compose", "allow_unproven": True},
        ),
        "handover": (
            actions.handover(("latest:net", str(RUN)), RUN / "out", "Two models"),
            {"runs": ("latest:net", str(RUN)), "output": RUN / "out", "title": "Two models"},
        ),
    }


NAMES = (
    "doctor", "inspect", "build", "measure", "lint", "diff", "serve", "infer", "stream", "tune", "diagnose", "size",
    "report", "deploy", "handover",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_printed_line_is_understood_as_what_the_workshop_did(tiny: Opened, name: str) -> None:
    action, expected = every_action(tiny)[name]
    found = parsed(action.line)
    assert {key: _comparable(found[key]) for key in expected} == {k: _comparable(v) for k, v in expected.items()}


def _comparable(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize("name", NAMES)
def test_a_printed_call_names_what_there_is_and_fits_its_signature(tiny: Opened, name: str) -> None:
    action, _ = every_action(tiny)[name]
    tree = ast.parse(action.call, mode="eval")
    outer = tree.body.func.id  # type: ignore[attr-defined]
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = call.func.id  # type: ignore[attr-defined]
        home = ASKED[outer] if called == "Asked" else HOMES[called]
        function = getattr(importlib.import_module(home), called)
        if called != "Path":
            keywords = {k.arg: None for k in call.keywords if k.arg}
            signatures.signature(function).bind(*[None] * len(call.args), **keywords)


def test_every_action_is_tried(tiny: Opened) -> None:
    assert set(every_action(tiny)) == set(NAMES)
    public = {n for n, f in vars(actions).items() if signatures.isfunction(f) and f.__module__ == actions.__name__}
    assert public - {"short", "action", "reading", "_run_options"} <= {*NAMES, "infer"}


def test_the_budget_of_a_line_is_the_budget_of_the_search(tiny: Opened) -> None:
    line = actions.tune(tiny.poc, budget="1500ms", slo=None, settings=()).line
    assert seconds_from_text(parsed(line)["budget"]) == 1.5
