"""The commands that serve a repository, and ask a served model once."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from toolkit.cli import show, show_generation
from toolkit.cli.options import MODEL_REPO, Json, Repository, Samples, Url, done


def serve(
    repository: Repository = MODEL_REPO,
    mode: Annotated[Literal["embedded", "docker"], typer.Option("--mode", help="Which Triton serves.")] = "embedded",
    http_port: Annotated[int, typer.Option("--http-port", help="The port for HTTP.")] = 8000,
    grpc_port: Annotated[int, typer.Option("--grpc-port", help="The port for gRPC.")] = 8001,
    metrics_port: Annotated[int, typer.Option("--metrics-port", help="The port for Prometheus.")] = 8002,
    openai: Annotated[bool, typer.Option("--openai", help="Speak OpenAI too, for entries that generate text.")] = False,
    openai_port: Annotated[int, typer.Option("--openai-port", help="The port for that.")] = 9000,
    image: Annotated[str | None, typer.Option("--image", help="docker: the image; NVIDIA's, or ours for CPUs.")] = None,
    gpus: Annotated[str | None, typer.Option("--gpus", help="docker: all, none, or indexes: 0,1.")] = None,
    memory: Annotated[str | None, typer.Option("--memory", help="docker: the limit, 4g; by the models' size.")] = None,
    shm: Annotated[str, typer.Option("--shm", help="docker: the shared memory.")] = "1g",
    json: Json = False,
) -> None:
    """Serve a repository with the embedded Triton, or one in a container, on the loopback, until Ctrl-C."""
    from toolkit.workflow.openai import speaking_openai
    from toolkit.workflow.serve_container import Ports, ServeOptions, serve_in

    options = ServeOptions(image=image, gpus=gpus, memory=memory, shm=shm)
    ports = Ports(http=http_port, grpc=grpc_port, metrics=metrics_port)
    with (
        serve_in(mode, repository, options, ports) as server,
        speaking_openai(server.endpoint, repository, port=openai_port if openai else None) as address,
    ):
        ready = f"ready: http://{server.endpoint.http}" + (f", OpenAI at http://{address}/v1" if address else "")
        done(show_generation.served(server.endpoint, address), f"{ready} (Ctrl-C ends it)", json)
        server.wait()


def infer(
    model: Annotated[str, typer.Argument(help="The served model's name.")],
    url: Url = "http://127.0.0.1:8000",
    samples: Samples = None,
    prompt: Annotated[str | None, typer.Option("--prompt", help="Of a text generator: what it goes on with.")] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="Of a text generator: how far.")] = 48,
    temperature: Annotated[float, typer.Option("--temperature", help="Of a text generator; 0 is greedy.")] = 0.0,
    json: Json = False,
) -> None:
    """Send one request and show the answer, for eyes; a text generator's tokens are shown as they come."""
    from toolkit.serve.generation import Sampling
    from toolkit.workflow.generate import PROMPT, generate_once, generating
    from toolkit.workflow.infer import infer_once

    if (endpoint := generating(url or "", model, prompt)) is not None:
        sampling, shown = Sampling(max_tokens=max_tokens, temperature=temperature), show_generation.piece(json)
        answer = generate_once(endpoint, model, PROMPT if prompt is None else prompt, sampling, show=shown)
        show_generation.generated(answer, as_json=json)
        return
    outputs = infer_once(url or "", model, samples)
    show.document(outputs) if json else show.answer(outputs)


COMMANDS = (serve, infer)
