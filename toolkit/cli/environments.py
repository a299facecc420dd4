"""`toolkit env make` and `toolkit env list`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import show
from toolkit.cli.options import Json, done

env = typer.Typer(help="Environments of their own for frameworks that do not fit in here.", no_args_is_help=True)


@env.command("make")
def make(
    name: Annotated[str, typer.Argument(help="tensorflow or jax.")],
    folder: Annotated[Path | None, typer.Option("--folder", help="Where; default: where exports look for it.")] = None,
    json: Json = False,
) -> None:
    """Make the environment in which a framework's models are exported, in the versions that are known to work."""
    from toolkit.export.environments import default_folder, make_environment, variable_of

    place = folder or default_folder(name)
    with show.progress(json) as progress:
        python = make_environment(name, place, progress)
    found = "exports find it there" if folder is None else f"say where it is: export {variable_of(name)}={python}"
    done({"environment": name, "python": python}, f"{python}: {found}", json)


@env.command("list")
def list_(json: Json = False) -> None:
    """The environments, where each is, and what its variable is called."""
    from toolkit.export.environments import NAMES, python_of, variable_of

    rows = [{"environment": name, "python": python_of(name), "variable": variable_of(name)} for name in NAMES]
    if json:
        show.document({"environments": rows})
    else:
        show.table(("environment", "python", "variable"), [tuple(str(v or "absent") for v in r.values()) for r in rows])
