"""Predict, then measure: a question with its choices, and what the measurement says to the choice.

In: a prediction, and an Answer that the library computed. Out: PASS or FAIL with a hint, in words.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from toolkit.errors import UsageError
from toolkit.load.pattern import load_text
from toolkit.report.answers import BUCKETS, FIRST, GAP, Answer, best_configuration, commonest_batch, knee_load
from toolkit.report.answers import slowest_wait as slowest_wait_of
from toolkit.workflow.report import trials_of
from toolkit.workflow.runs import read_manifest
from toolkit.workshop.opened import Opened
from toolkit.workshop.plain import plainly
from toolkit.workshop.show import View, note
from toolkit.workshop.streaming import Streamed

WAITS = (FIRST, GAP)
BATCHES = tuple(name for name, _ in BUCKETS)
#: Characters of a line of the answer, which a page of 1280 pixels shows unbroken.
WIDTH = 100


class Prediction:
    """A question and its choices; `value` is what is chosen, None until somebody chooses."""

    def __init__(self, question: str, choices: Sequence[str]) -> None:
        if not choices:
            raise UsageError("there is nothing to choose from", mend="workshop.predict(question, [one, other])")
        self.question, self.choices = question, tuple(choices)
        self.buttons = widgets.RadioButtons(options=list(choices), value=None, layout={"width": "max-content"})
        self.buttons.tooltip = question

    @property
    def value(self) -> str | None:
        """The choice."""
        found: str | None = self.buttons.value
        return found

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        widget = widgets.VBox([widgets.HTML(note(self.question, strong=True)), self.buttons])
        choices = "; ".join(self.choices)
        return View(widget=widget, text=f"{self.question} ({choices})")._repr_mimebundle_()


@plainly
def predict(question: str, choices: Sequence[str]) -> Prediction:
    """Ask before it is measured. `choices`: texts; `configurations(poc)`, `loads(poc)`, BATCHES and WAITS are some."""
    return Prediction(question, choices)


def configurations(opened: Opened) -> tuple[str, ...]:
    """The names of a PoC's configurations, to choose from."""
    return tuple(c.name for c in opened.poc.candidates)


def loads(opened: Opened) -> tuple[str, ...]:
    """The loads of a PoC in words, to choose from."""
    return tuple(load_text(load) for load in opened.poc.file.loads)


@plainly
def check(prediction: Prediction | str, answer: Answer, *, hint: str = "") -> None:
    """Say whether a prediction was right, and what was measured."""
    said = prediction if isinstance(prediction, str) else prediction.value
    if not answer.right:
        _say(f"OPEN: {answer.said}")
    elif said is None:
        _say(f"OPEN: nothing was predicted; {answer.said}")
    elif said in answer.right:
        _say(f"PASS: {answer.said}")
    else:
        _say(f"FAIL: you said '{said}'; {answer.said}")
        if hint:
            _say(f"  hint: {hint}")


def _say(text: str) -> None:
    print(textwrap.fill(text, WIDTH, subsequent_indent="  "))  # noqa: T201 - the cell's answer


@plainly
def winner(run: Path) -> Answer:
    """Which configuration serves most within the limit."""
    return best_configuration(trials_of(run, read_manifest(run)))


@plainly
def turning_point(run: Path) -> Answer:
    """At which load the curve turns."""
    manifest = read_manifest(run)
    return knee_load(trials_of(run, manifest), manifest.subject.slo)


@plainly
def batch(run: Path, model: str) -> Answer:
    """In which batch size most rows of a model went."""
    return commonest_batch(trials_of(run, read_manifest(run)), model)


def slowest_wait(streamed: Streamed) -> Answer:
    """Whether the first token or the longest gap was waited for longer."""
    return slowest_wait_of(streamed.answer.ttft_s, streamed.answer.gaps_s)
