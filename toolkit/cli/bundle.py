"""`toolkit bundle validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import show
from toolkit.cli.options import Json

bundle = typer.Typer(help="What a deployment bundle is worth, before it goes to production.", no_args_is_help=True)


@bundle.command("validate")
def bundle_validate(
    folder: Annotated[Path, typer.Argument(help="A folder that `toolkit deploy` wrote.")],
    every: Annotated[bool, typer.Option("--all", help="A line for each file, also where many are alike.")] = False,
    json: Json = False,
) -> None:
    """Ask every validator that is installed. Exit code 1 when one is not content."""
    from toolkit.deploy.validate import is_failed, validate_folder

    findings = validate_folder(folder)
    show.document({"bundle": folder, "validation": findings}) if json else show.bundle(folder, findings, every=every)
    raise typer.Exit(1 if any(map(is_failed, findings)) else 0)
