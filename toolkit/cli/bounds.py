"""`toolkit bounds`: what arithmetic allows, before anything is measured. Every figure is a bound and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import show_bounds
from toolkit.cli.options import Json, Run

bounds = typer.Typer(help="Limits by arithmetic, from shapes and data sheets.", no_args_is_help=True)

Gpus = Annotated[list[str], typer.Option("--gpu", help="A name in the catalogue; may be repeated. Default: all.")]
CatalogueFile = Annotated[Path | None, typer.Option("--catalogue", help="GPUs of your own, with their sources.")]


@bounds.command()
def llm(
    model: Annotated[Path, typer.Argument(help="A Hugging Face folder, or its config.json.")],
    gpu: Gpus = [],
    catalogue: CatalogueFile = None,
    precision: Annotated[list[str], typer.Option("--precision", help="Of the weights; may be repeated.")] = ["fp16"],
    kv_precision: Annotated[str, typer.Option("--kv-precision", help="Of keys and values.")] = "fp16",
    tokens: Annotated[int, typer.Option("--tokens", min=2, help="Of a whole sequence.")] = 4096,
    prompt: Annotated[int, typer.Option("--prompt", min=1, help="Of its prompt.")] = 1024,
    devices: Annotated[int | None, typer.Option("--devices", min=1, help="Default: the fewest that hold it.")] = None,
    json: Json = False,
) -> None:
    """What the GPUs of the catalogue allow a language model: weights, sequences that fit, prefill and decoding."""
    from toolkit.size.catalogue import FILE, chosen, read_catalogue
    from toolkit.size.llm_config import shape_from_path
    from toolkit.size.llm_shape import llm_bounds

    shape = shape_from_path(model)
    gpus = chosen(read_catalogue(catalogue or FILE), tuple(gpu))
    lengths = {"tokens": tokens, "prompt_tokens": prompt}
    found = llm_bounds(shape, gpus, tuple(precision), kv_precision=kv_precision, devices=devices, **lengths)
    show_bounds.llm(shape, found, as_json=json)


@bounds.command()
def roofline(run: Run, json: Json = False) -> None:
    """What this CPU and the catalogue's GPUs allow the models of a run, and the share that was reached here."""
    from toolkit.workflow.roofline import draw_rooflines
    from toolkit.workflow.runs import run_from_text

    found = draw_rooflines(run_from_text(run), keep=False)
    show_bounds.rooflines(found, as_json=json)


@bounds.command()
def tables(
    file: Annotated[Path, typer.Argument(help="YAML: tables: {NAME: {rows, dimension, lookups, precision}}.")],
    gpu: Gpus = [],
    catalogue: CatalogueFile = None,
    devices: Annotated[int | None, typer.Option("--devices", min=1, help="Default: the fewest that hold them.")] = None,
    json: Json = False,
) -> None:
    """Whether embedding tables fit, how they can be cut over devices, and the ways to serve them."""
    from toolkit.size.catalogue import FILE, chosen, read_catalogue
    from toolkit.size.tables import fit_tables, tables_from_file

    read = tables_from_file(file)
    gpus = chosen(read_catalogue(catalogue or FILE), tuple(gpu))
    found = {name: fit_tables(read, g.memory_gb * 1e9, devices=devices) for name, g in gpus.items()}
    show_bounds.tables(found, as_json=json)
