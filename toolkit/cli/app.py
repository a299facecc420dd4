"""The commands. A body parses, calls the library once and shows the result; `main` turns errors into exit codes.

0 done; 1 done and the verdict is negative or undecided; 2 usage, configuration or a refused model; 3 a missing
dependency or environment; 4 server trouble; 70 a bug of ours; 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from toolkit import __version__
from toolkit.cli import deploying, exporting, handover, measuring, serving, show, sizing, tuning
from toolkit.cli.bounds import bounds
from toolkit.cli.bundle import bundle
from toolkit.cli.environments import env
from toolkit.cli.index import index
from toolkit.cli.options import (
    MODEL_REPO,
    Inputs,
    Json,
    command_line,
    done,
)
from toolkit.cli.repo import repo
from toolkit.errors import ToolkitError

if TYPE_CHECKING:
    from toolkit.poc import Poc

app = typer.Typer(
    help="From a customer's model to a measured and deployable Triton proof of concept.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(repo, name="repo")
app.add_typer(index, name="index")
app.add_typer(bounds, name="bounds")
app.add_typer(bundle, name="bundle")
app.add_typer(env, name="env")

INTERRUPTED = 130


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    """From a customer's model to a measured and deployable Triton proof of concept."""


@app.command()
def version() -> None:
    """Print the toolkit's version."""
    show.out.print(__version__)


@app.command()
def doctor(json: Json = False) -> None:
    """What is here, what is missing, and the command that mends it."""
    from toolkit.workflow.doctor import examine

    checks = examine()
    if json:
        show.document({"checks": checks})
    else:
        show.table(("check", "state", "found", "mend"), [(c.name, c.state, c.found, c.mend) for c in checks])
    raise typer.Exit(3 if any(c.state == "missing" for c in checks) else 0)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The folder's name under pocs/.")],
    model: Annotated[str, typer.Option("--model", help="MODEL: a path, or file.py:factory.")],
    family: Annotated[str, typer.Option("--family", help="vision, recsys, text, tabular or llm.")] = "vision",
    inputs: Inputs = [],
    notebook: Annotated[bool, typer.Option("--notebook", help="Also notebooks/NAME.ipynb, a guided one.")] = False,
    json: Json = False,
) -> None:
    """Write a PoC folder for a model; it runs as it is."""
    from toolkit.workflow.scaffold import new_notebook, new_poc, notebook_place

    if notebook:
        notebook_place(name)
    folder = new_poc(name, family, model, tuple(inputs))
    guided = new_notebook(folder, family) if notebook else None
    text = f"{folder} is written; next: toolkit run {folder} --smoke"
    done({"poc": folder, "notebook": guided}, f"{text}, or open {guided} in JupyterLab" if guided else text, json)


for area in (exporting, serving, measuring, sizing, tuning, deploying, handover):
    for command in area.COMMANDS:
        app.command()(command)


@app.command()
def run(
    poc: Annotated[Path, typer.Argument(help="A folder with a poc.yaml.")],
    smoke: Annotated[bool, typer.Option("--smoke", help="Smaller sizes, the same path.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the newest run of the same PoC.")] = False,
    model: Annotated[str | None, typer.Option("--model", help="MODEL in place of poc.yaml's.")] = None,
    set_: Annotated[list[str], typer.Option("--set", help="KEY=VALUE over poc.yaml; may be repeated.")] = [],
    publish: Annotated[bool, typer.Option("--publish/--no-publish", help="Fill model_repo after a PASS.")] = True,
    until: Annotated[
        Literal["repository", "report"], typer.Option("--until", help="The last stage; --resume goes on from there.")
    ] = "report",
    json: Json = False,
) -> None:
    """Run a PoC: model to decision, report and bundle. Exit code 1 when the SLO is not met or not decided."""
    from toolkit.poc import read_poc
    from toolkit.workflow.run import run_poc
    from toolkit.workflow.runs import RUNS

    read = read_poc(poc, smoke=smoke, settings=tuple(set_), model=model)
    if until == "repository":
        return _build(read, resume, json)
    destination = MODEL_REPO if publish else None
    with show.progress(json) as progress:
        folder, decision = run_poc(
            read, command=command_line(), root=RUNS, resume=resume, publish=destination, progress=progress
        )
    show.decision(folder, decision, as_json=json)
    raise typer.Exit(0 if decision.outcome == "PASS" else 1)


def _build(poc: Poc, resume: bool, json: bool) -> None:
    from toolkit.workflow.run import build_poc
    from toolkit.workflow.runs import RUNS

    with show.progress(json) as progress:
        run, repository = build_poc(poc, command=command_line(), root=RUNS, resume=resume, progress=progress)
    text = f"{repository} is written" if repository else f"an exported model differs from its original: {run}/artifacts"
    done({"run": run, "repository": repository}, text, json)
    raise typer.Exit(0 if repository else 1)


def main() -> None:
    """Run the command line and exit with the code of the outcome."""
    debug = "--debug" in sys.argv
    try:
        code = app(standalone_mode=False) or 0
    except typer.TyperException as error:
        show.err.print(f"error: {error}\n  mend: toolkit --help, toolkit COMMAND --help", markup=False)
        code = error.exit_code
    except ToolkitError as error:
        show.error(error, debug=debug)
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where a bug of ours becomes an exit code
        show.error(error, debug=debug)
        code = ToolkitError.exit_code
    if code == INTERRUPTED:
        show.err.print("interrupted; what was finished is kept")
    sys.exit(code)
