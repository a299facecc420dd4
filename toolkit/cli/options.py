"""What several commands share: arguments and options, where things lie by default, and how a command ends."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from toolkit.cli import show

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
Model = Annotated[str, typer.Argument(help="A path, path/to/file.py:factory, or file.py:factory+weights.safetensors.")]
Inputs = Annotated[list[str], typer.Option("--input", help="NAME:DTYPE:DIM,DIM,...[:LOW..HIGH]; may be repeated.")]
Trust = Annotated[bool, typer.Option("--trust", help="Open a model format that can hide code. It runs that code.")]
Timeout = Annotated[str, typer.Option("--timeout", help="How long a model that can hide code may take, with its unit.")]
Memory = Annotated[
    float | None, typer.Option("--memory", help="MiB that such a model may take; default: 80 % of the machine's.")
]
Python = Annotated[
    Path | None, typer.Option("--python", help="The bin/python of the environment that holds the model's framework.")
]
Repository = Annotated[Path, typer.Option("--repository", help="The Triton model repository.")]
Run = Annotated[str, typer.Argument(help="A run folder, or latest:<poc>.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="A running KServe v2 server: http[s]://host:port; for gRPC add ,grpc[s]://host:port."),
]
Samples = Annotated[Path | None, typer.Option("--samples", help="An npz file: arrays by input name, a row each.")]
Protocol = Annotated[
    Literal["http", "grpc", "sse", "grpc-stream"], typer.Option("--protocol", help="What is spoken; sse streams.")
]
Processes = Annotated[int, typer.Option("--processes", min=1, help="Processes that drive the load together.")]
Workload = Annotated[
    str | None,
    typer.Option(
        "--workload", help="Of a text generator: chat, rag, or input=128,output=32..64,shared=16,requests=64."
    ),
]
TokenizerFolder = Annotated[
    Path | None, typer.Option("--tokenizer", help="A folder with a tokenizer.json that counts a workload's tokens.")
]
MODEL_REPO = Path("model_repo")


def done(value: Any, text: str, json: bool) -> None:
    """Print the document of a finished command, or a sentence."""
    show.document(value) if json else show.out.print(text, markup=False)


def command_line() -> str:
    """The command as it was typed."""
    return shlex.join(["toolkit", *sys.argv[1:]])
