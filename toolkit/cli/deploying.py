"""The commands that lead to production: `deploy` makes a bundle of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import show
from toolkit.cli.options import Json, Run


def deploy(
    run: Run,
    output: Annotated[Path, typer.Option("--output", help="The bundle's folder; must be absent or empty.")],
    target: Annotated[str, typer.Option("--target", help="compose, kubernetes or kserve.")] = "compose",
    overlay: Annotated[list[str], typer.Option("--overlay", help="Of Kubernetes; may be repeated.")] = [],
    registry: Annotated[str, typer.Option("--registry", help="Where the images that you build will be.")] = "",
    measured: Annotated[str, typer.Option("--measured", help="A sweep of the target, whose figures count.")] = "",
    server: Annotated[
        str,
        typer.Option(
            "--server", help="triton; of language models triton-vllm, triton-trtllm, vllm, trtllm-serve, nim."
        ),
    ] = "triton",
    image: Annotated[str, typer.Option("--image", help="In place of the server's pinned one.")] = "",
    gpu: Annotated[
        str, typer.Option("--gpu", help="Of the catalogue: bounds what a language model is asked for.")
    ] = "",
    tokens: Annotated[int, typer.Option("--tokens", min=0, help="Of its longest sequence; 0: of its context.")] = 0,
    allow_unproven: Annotated[bool, typer.Option("--allow-unproven", help="Also for a run that did not pass.")] = False,
    json: Json = False,
) -> None:
    """Generate the deployment bundle of a run."""
    from toolkit.workflow.deploy import Deployment, deploy_run
    from toolkit.workflow.deploy_llm import LlmWishes
    from toolkit.workflow.runs import run_from_text

    llm = LlmWishes(server=server, image=image, gpu=gpu, tokens=tokens)
    asked = Deployment(
        target=target,
        llm=llm,
        overlays=tuple(overlay),
        registry=registry,
        allow_unproven=allow_unproven,
        measured=run_from_text(measured) if measured else None,
    )
    findings = deploy_run(run_from_text(run), output, asked)
    show.document({"bundle": output, "validation": findings}) if json else show.bundle(output, findings)


COMMANDS = (deploy,)
