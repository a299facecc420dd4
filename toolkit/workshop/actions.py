"""What each step of a workshop is on the command line and in Python. A test sends every line through the real CLI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.poc import Poc
from toolkit.workflow.command_line import command_line

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A command line, and a call of the library that does the same."""

    line: str
    call: str


def short(path: object) -> str:
    """A path relative to the project, where it lies within."""
    return str(path).removeprefix(f"{ROOT}/")


def action(verb: str, *arguments: object, call: str, options: Mapping[str, object] | None = None) -> Action:
    """The command line from its parts, beside the call."""
    return Action(line=command_line(verb, *map(short, arguments), options=options), call=call)


def doctor() -> Action:
    """The preflight."""
    return action("doctor", call="examine()")


def inspect(model: str) -> Action:
    """What a model is."""
    return action("inspect", model, call=f"inspect_model(source_from_path({short(model)!r}))")


def reading(poc: Poc, changes: Mapping[str, object]) -> str:
    """The call that reads a PoC as it was opened."""
    more = f", smoke={poc.smoke}" + "".join(f", {name}={value!r}" for name, value in changes.items() if value)
    return f"read_poc(Path({short(poc.folder)!r}){more})"


def build(poc: Poc, changes: Mapping[str, object]) -> Action:
    """Export, compare, write the repository."""
    options = {"until": "repository"} | _run_options(poc, changes)
    call = f"build_poc({reading(poc, changes)}, command='', root=Path('runs'), resume=True)"
    return action("run", poc.folder, call=call, options=options)


def measure(poc: Poc, changes: Mapping[str, object]) -> Action:
    """The whole PoC, going on where it is."""
    options = _run_options(poc, changes) | {"no_publish": True}
    call = f"run_poc({reading(poc, changes)}, command='', root=Path('runs'), resume=True)"
    return action("run", poc.folder, call=call, options=options)


def _run_options(poc: Poc, changes: Mapping[str, object]) -> dict[str, object]:
    settings = changes.get("settings") or None
    return {"smoke": poc.smoke, "resume": True, "model": changes.get("model") or None, "set": settings}


def lint(repository: Path) -> Action:
    """What the linter says."""
    call = f"lint_repository(Path({short(repository)!r}))"
    return action("repo lint", options={"repository": short(repository)}, call=call)


def diff(one: Path, other: Path) -> Action:
    """What two repositories would serve differently."""
    return action("repo diff", one, other, call=f"diff(Path({short(one)!r}), Path({short(other)!r}))")


def serve(repository: Path) -> Action:
    """Serve a repository."""
    call = f"serve_embedded(Path({short(repository)!r}))"
    return action("serve", options={"repository": short(repository)}, call=call)


def infer(model: str, url: str, options: Mapping[str, object]) -> Action:
    """One request."""
    call = f"infer_once({url!r}, {model!r}, None)"
    if "prompt" in options:
        sampling = f"Sampling(max_tokens={options['max_tokens']}, temperature={options['temperature']})"
        call = f"generate_once(endpoint_from_url({url!r}), {model!r}, {options['prompt']!r}, {sampling})"
    return action("infer", model, options={"url": url} | dict(options), call=call)


def tune(poc: Poc, *, budget: str, slo: str | None, settings: tuple[str, ...]) -> Action:
    """Search the best configuration."""
    target, more = short(poc.folder), f", smoke={poc.smoke}" + (f", settings={settings!r}" if settings else "")
    asked = f"Asked(target={target!r}, slo={slo!r}, repository=Path('model_repo'), objective=Objective(){more}, "
    asked += f"budget_s=seconds_from_text({budget!r}), resume=True)"
    options = {"budget": budget, "slo": slo, "smoke": poc.smoke, "set": settings or None, "resume": True}
    call = f"run_tune({asked}, command='', root=Path('runs'), progress=print)"
    return action("tune", poc.folder, options=options, call=call)


def diagnose(run: Path, *, window: str, apply: bool) -> Action:
    """What limits the model of a run."""
    sweep = f"Sweep(target={short(run)!r}, url=None, repository=Path('model_repo'), samples=None, inputs=(), slo=None)"
    asked = f"Asked(target={sweep}, window_s=seconds_from_text({window!r}), apply={apply})"
    call = f"run_diagnose({asked}, command='', root=Path('runs'), progress=print)"
    return action("diagnose", run, options={"window": window, "apply": apply}, call=call)


def size(run: Path, *, rate: float, headroom: float, prices: Path | None) -> Action:
    """Machines and money for a demand."""
    book = short(prices) if prices else None
    asked = f"Asked(demand=demand_from({rate:g}, headroom={headroom:g}), headroom={headroom:g})"
    call = f"size_run(Path({short(run)!r}), {asked}, prices={book!r})"
    return action("size", run, options={"rate": f"{rate:g}", "headroom": f"{headroom:g}", "prices": book}, call=call)


def report(run: Path) -> Action:
    """Write the report again."""
    return action("report", run, call=f"write_report(Path({short(run)!r}))")


def deploy(run: Path, output: Path, *, target: str, allow_unproven: bool) -> Action:
    """Write a bundle."""
    options = {"target": target, "output": short(output), "allow_unproven": allow_unproven}
    asked = f"Deployment(target={target!r}, allow_unproven={allow_unproven})"
    call = f"deploy_run(Path({short(run)!r}), Path({short(output)!r}), {asked})"
    return action("deploy", run, options=options, call=call)


def handover(runs: Sequence[str], output: Path, title: str) -> Action:
    """Several runs as one report and one bundle."""
    call = f"hand_over({tuple(runs)!r}, Path({short(output)!r}), title={title!r})"
    return action("handover", *runs, options={"output": short(output), "title": title}, call=call)
