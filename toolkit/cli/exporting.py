"""`toolkit export`: one model to ONNX, to a ladder of precisions, or to a TensorRT engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from toolkit.cli import show
from toolkit.cli.options import Inputs, Json, Model, Trust
from toolkit.cli.show_export import show_ladder


def export(
    model: Model,
    output: Annotated[Path, typer.Option("--output", help="The artifact's folder; must be new.")],
    inputs: Inputs = [],
    samples: Annotated[
        Path | None, typer.Option("--samples", help="What it is compared and calibrated on: arrays by input name.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The artifact's name; default: the folder's.")] = None,
    opset: Annotated[int, typer.Option("--opset", help="The ONNX opset.")] = 20,
    precision: Annotated[
        str, typer.Option("--precision", help="Of fp32,fp16,bf16,int8-dynamic,int8-qdq,int8-qdq-trt; int4 for an LLM.")
    ] = "fp32",
    budget: Annotated[float, typer.Option("--accuracy-budget", help="What a lower precision may lose.")] = 0.01,
    kind: Annotated[
        Literal["onnx", "tensorrt"], typer.Option("--format", help="tensorrt: an engine for the GPU here, from ONNX.")
    ] = "onnx",
    max_batch_size: Annotated[int, typer.Option("--max-batch-size", min=1, help="The engine's largest batch.")] = 8,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Export a model to ONNX and compare it with the original; exit code 1 when they differ."""
    from toolkit.workflow import export as exporting

    given: dict[str, Any] = {"name": name, "inputs": inputs, "samples": samples, "opset": opset, "trust": trust}
    ladder = None
    with show.progress(json) as progress:
        given["progress"] = progress
        if kind == "tensorrt":
            given |= {"precisions": precision, "max_batch_size": max_batch_size, "budget": budget}
            artifact, parity = exporting.export_to_engine(model, output, **given)
            output /= "engine"
        elif precision not in ("fp32", "int4"):
            ladder, accepted = exporting.export_precisions(model, output, precisions=precision, budget=budget, **given)
        else:
            artifact, parity = exporting.export_model(model, output, precision=precision, **given)
    if ladder is not None:
        show.document(ladder) if json else show_ladder(output, ladder)
        raise typer.Exit(0 if accepted else 1)
    show.document({"artifact": artifact, "parity": parity}) if json else show.parity(output, artifact, parity)
    raise typer.Exit(0 if parity.passed else 1)


COMMANDS = (export,)
