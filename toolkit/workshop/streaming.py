"""Tokens as they come: one generation, shown piece by piece, with what a reader felt in figures and as a picture."""

from __future__ import annotations

import html
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ipywidgets as widgets
from IPython.display import display

from toolkit.errors import UsageError
from toolkit.report.charts import svg
from toolkit.report.stream_chart import token_times_chart
from toolkit.serve.client import endpoint_from_url
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.generation import Sampling
from toolkit.serve.server import Endpoint
from toolkit.serve.token_stream import Timed
from toolkit.workflow.command_line import command_line
from toolkit.workflow.generate import PROMPT, Generated, generate_once
from toolkit.workflow.runs import read_manifest, repository_of
from toolkit.workshop.views import Table, plainly


@plainly
def stream(
    run: Path, prompt: str = PROMPT, *, max_tokens: int = 64, temperature: float = 0.8, url: str | None = None
) -> Table:
    """Let the model of a run go on with a prompt, and show its tokens as they come.

    The run's repository is served for that long; `url` asks a server that is there already instead, as Triton with
    vLLM or TensorRT-LLM.
    """
    model = read_manifest(run).subject.measured
    options = {"prompt": prompt, "max_tokens": max_tokens, "temperature": temperature} | ({"url": url} if url else {})
    print(command_line("infer", model, options=options))  # noqa: T201 - the cell's answer
    text, picture = widgets.HTML(), widgets.HTML()
    display(widgets.VBox([text, picture]))
    said = [prompt]

    def show(timed: Timed) -> None:
        said.append(timed.piece.text)
        text.value = _shown(said)

    with _server(run, url) as endpoint:
        sampling = Sampling(max_tokens=max_tokens, temperature=temperature)
        generate_once(endpoint, model, prompt, Sampling(max_tokens=2))  # a server's first request finds it cold
        answer = generate_once(endpoint, model, prompt, sampling, show=show)
    picture.value = svg(token_times_chart((answer.ttft_s, *answer.gaps_s)), key=run.name)
    return _figures(answer)


def _shown(said: list[str]) -> str:
    prompt, *rest = (html.escape(text) for text in said)
    return f"<pre style='white-space:pre-wrap'><b>{prompt}</b>{''.join(rest)}</pre>"


@contextmanager
def _server(run: Path, url: str | None) -> Iterator[Endpoint]:
    if url is not None:
        yield endpoint_from_url(url)
        return
    repository = repository_of(run)
    if repository is None:
        raise UsageError(f"{run} holds no repository", mend="toolkit run POC --resume finishes it")
    with serve_embedded(repository) as server:
        yield server.endpoint


def _figures(answer: Generated) -> Table:
    gaps = answer.gaps_s
    rows = [
        ("tokens", str(answer.tokens)),
        ("TTFT, time to the first token", f"{1e3 * answer.ttft_s:.2f} ms"),
        *([("ITL, median gap between tokens", f"{1e3 * statistics.median(gaps):.2f} ms")] if gaps else []),
        *([("ITL, longest gap", f"{1e3 * max(gaps):.2f} ms")] if gaps else []),
        ("ended by", answer.finish_reason or "the server, without a reason"),
    ]
    return Table(columns=("what", "value"), rows=tuple(rows))
