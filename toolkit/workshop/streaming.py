"""Tokens as they come: one generation, shown piece by piece, with what a reader felt in figures and as a picture."""

from __future__ import annotations

import html
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import ipywidgets as widgets
from IPython.display import display

from toolkit.errors import UsageError
from toolkit.report.charts import PALETTE
from toolkit.report.stream_chart import token_times_chart
from toolkit.serve.client import endpoint_from_url
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.generation import Sampling
from toolkit.serve.server import Endpoint, Server
from toolkit.serve.token_stream import Timed
from toolkit.tune.words import time_text
from toolkit.workflow.generate import PROMPT, Generated, generate_once
from toolkit.workflow.runs import read_manifest, repository_of
from toolkit.workshop import actions
from toolkit.workshop.plain import plainly
from toolkit.workshop.show import TEXT, Table, note, picture, same_as


@plainly
def stream(
    run: Path,
    prompt: str = PROMPT,
    *,
    max_tokens: int = 64,
    temperature: float = 0.8,
    url: str | None = None,
    server: Server | None = None,
) -> Streamed:
    """Let the model of a run go on with a prompt, and show its tokens, and how long each was waited for, as they come.

    `server` is one that `serve` started; without it the run's repository is served for that long. `url` asks another
    one instead, as Triton with vLLM or TensorRT-LLM.
    """
    model = read_manifest(run).subject.measured
    options = {"prompt": prompt, "max_tokens": max_tokens, "temperature": temperature}
    shown = _Stream(prompt)
    display(shown.widget)
    with _server(run, url, server) as endpoint:
        same_as(actions.infer(model, url or f"http://{endpoint.http}", options))
        sampling = Sampling(max_tokens=max_tokens, temperature=temperature)
        generate_once(endpoint, model, prompt, Sampling(max_tokens=2))  # a server's first request finds it cold
        answer = generate_once(endpoint, model, prompt, sampling, show=shown.take)
    shown.end()
    display(picture(token_times_chart((answer.ttft_s, *answer.gaps_s)), key=run.name))
    return Streamed(answer=answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """One generation with its token times; a notebook shows its figures."""

    answer: Generated

    def _repr_html_(self) -> str:
        return _figures(self.answer)._repr_html_()

    def __repr__(self) -> str:
        return repr(_figures(self.answer))


class _Stream:
    """The text so far, and a bar for each token. A bar is a piece of HTML: drawing a chart would delay the next one."""

    def __init__(self, prompt: str) -> None:
        self._said: list[str] = [prompt]
        self._after_s: list[float] = []
        self._text, self._strip = widgets.HTML(), widgets.HTML()
        self.widget = widgets.VBox([self._text, self._strip])

    def take(self, timed: Timed) -> None:
        """Show one token."""
        self._said.append(timed.piece.text)
        self._after_s.append(timed.after_s)
        waited_s = [after - before for before, after in pairwise((0.0, *self._after_s))]
        self._text.value, self._strip.value = _shown(self._said), _strip(waited_s)

    def end(self) -> None:
        """Leave the text: the chart says the rest."""
        self._strip.value = ""


def _strip(waited_s: Sequence[float]) -> str:
    top = max(waited_s)
    bars = "".join(
        f"<div style='width:7px;height:{max(2.0, 60 * t / top):.0f}px;background:{PALETTE[0 if n else 1]}'></div>"
        for n, t in enumerate(waited_s)
    )
    said = f"TTFT {time_text(waited_s[0])}, the last gap (ITL) {time_text(waited_s[-1])}"
    row = "display:flex;align-items:flex-end;gap:1px;height:60px"
    return f"<div role='img' aria-label='{said}' style='{row}'>{bars}</div>{note(f'{len(waited_s)} tokens: {said}')}"


def _shown(said: list[str]) -> str:
    prompt, *rest = (html.escape(text) for text in said)
    style = f"white-space:pre-wrap;color:{TEXT};max-width:720px"
    return f"<pre style='{style}' aria-live='off'><b>{prompt}</b>{''.join(rest)}</pre>"


@contextmanager
def _server(run: Path, url: str | None, ours: Server | None) -> Iterator[Endpoint]:
    if ours is not None:
        yield ours.endpoint
        return
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
