"""Work as it goes on in a cell: what it is at, the picture so far, the time left, warnings, and a Stop button.

The work runs in the cell, so that "Run all" waits for it and the kernel's Interrupt ends it. A click comes in on
another thread (a Jupyter subshell): it only leaves a mark, which is looked at between two points. What was measured by
then is kept. The bar of the running point is moved by the browser, so that nothing computes beside a measurement.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from toolkit.report.charts import load_drawing
from toolkit.workshop.show import FAINT, FRAME, TEXT, drawn, note

STOP, STOPPING, STOPPED, DONE = "Stop", "Stopping after this point", "Stopped", "Done"


class Stopped(Exception):
    """The Stop button was pressed; raised between two points."""


class Live:
    """The view of work that goes on. `widget` is shown in the cell; `stop` is what the button does."""

    def __init__(self, title: str, *, hint: str = "stops after the running point; what was measured is kept") -> None:
        self._marked = threading.Event()
        self._title = title
        self._status, self._bar, self._best, self._warnings = (widgets.HTML() for _ in range(4))
        self.chart = widgets.HTML()
        self.button = widgets.Button(
            description=STOP, icon="stop", button_style="warning", tooltip=f"Stop: {hint}", layout={"width": "240px"}
        )
        self.button.on_click(self.stop)
        head = widgets.HBox([self.button, self._status], layout={"align_items": "center", "grid_gap": "12px"})
        parts = [head, self._bar, self._best, self.chart, self._warnings]
        self.widget = widgets.VBox(parts, layout={"width": "100%", "overflow": "hidden"})
        self.say("starting")

    def show(self) -> None:
        """Put it into the cell."""
        load_drawing()
        display(self.widget)
        _hear_while_busy(self.button)

    def stop(self, _: Any = None) -> None:
        """Ask for the end; asking again changes nothing."""
        self._marked.set()
        self.button.disabled, self.button.description = True, STOPPING

    def say(self, text: str) -> None:
        """Show what begins now. Raises Stopped when the button was pressed before it."""
        if self._marked.is_set():
            raise Stopped(text)
        self._status.value = f"<div role='status' aria-live='polite'>{note(f'{self._title}: {text}')}</div>"

    def ahead(self, done: int, of: int, *, left_s: float, point_s: float) -> None:
        """Points done, time left, and a bar that fills while the next point is measured."""
        left = f"about {left_s:.0f} s of load left" if done < of else "all measured"
        self._bar.value = _bar(done, of, left, point_s)

    def budget(self, spent_s: float, of_s: float) -> None:
        """The share of a budget of time that is spent."""
        self._bar.value = _track(spent_s, of_s, f"{spent_s:.0f} of {of_s:.0f} s of measuring spent", "", "budget spent")

    def best(self, text: str) -> None:
        """The best so far, in words."""
        self._best.value = note(text, strong=True) if text else ""

    def draw(self, charts: Sequence[Any], *, key: str) -> None:
        """The picture so far."""
        self.chart.value = drawn(charts, key=key)

    def warn(self, texts: Sequence[str]) -> None:
        """What is wrong with what was measured so far."""
        items = "".join(f"<li style='line-height:1.4'>{html.escape(text)}</li>" for text in texts)
        style = f"color:{TEXT};max-width:720px;line-height:1.4"
        listed = f"<div role='note' style='{style}'>Warnings<ul style='margin:2px 0'>{items}</ul></div>"
        self._warnings.value = listed if texts else ""

    def end(self, text: str) -> None:
        """Leave one line: the cell's own output shows the rest."""
        was_stopped = self._marked.is_set()
        self.button.disabled, self.button.description = True, STOPPED if was_stopped else DONE
        self.button.icon = "" if was_stopped else "check"
        self.button.button_style = ""
        self._status.value = f"<div role='status'>{note(f'{self._title}: {text}')}</div>"
        for part in (self._bar, self._best, self.chart):
            part.value = ""


def _hear_while_busy(button: widgets.Button) -> None:
    """Let clicks come in on the subshell that the page sends them to, while the cell is running.

    ipykernel 7.4 sends a widget's messages to the shell that last wrote to it, which is the one that the cell keeps
    busy. Without that mark they go where the page sent them (ipykernel, comm/comm.py, `_reply_subshell_for`). Where
    there are no subshells a click is heard after the cell, and the kernel's Interrupt is the way to stop.
    """
    if hasattr(button.comm, "_reply_subshell_id"):
        del button.comm._reply_subshell_id


def _bar(done: int, of: int, left: str, point_s: float) -> str:
    """What is done, and the running point, which the browser fills in `point_s` seconds."""
    style = f"width:{100 / max(of, 1):.2f}%;background:#56B4E9;transform-origin:left"
    moving = f"<div style='{style};animation:poc-fill {point_s:.1f}s linear both'></div>" if done < of else ""
    return _track(done, of, f"{done} of {of} points measured, {left}", moving, "points measured")


def _track(done: float, of: float, text: str, moving: str, label: str) -> str:
    share = 100 * min(done / max(of, 1e-9), 1.0)
    track = f"height:8px;border:1px solid {FRAME};border-radius:4px;overflow:hidden;max-width:720px;display:flex"
    done_part = f"<div style='width:{share:.2f}%;background:#0072B2'></div>"
    return (
        "<style>@keyframes poc-fill{from{transform:scaleX(0)}to{transform:scaleX(1)}}</style>"
        f"<div role='progressbar' aria-label='{label}' aria-valuemin='0' aria-valuemax='{of:g}' "
        f"aria-valuenow='{done:g}' style='{track}'>{done_part}{moving}</div>"
        f"<div style='color:{FAINT};line-height:1.5'>{text}</div>"
    )
