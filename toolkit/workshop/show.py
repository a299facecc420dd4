"""How things look in a notebook: a table, a chart, and the two lines that do the same without the notebook.

In: values that the library made. Out: what Jupyter displays. A chart is SVG inside an ipywidgets.HTML, which takes the
colours of the theme, and a small PNG that stays where no kernel runs.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets
from PIL import Image

from toolkit.extras import require
from toolkit.report.charts import svg
from toolkit.workshop.actions import Action

#: Between black and white, so that a kept picture reads on both.
MID_TONE = "#767f8a"
TEXT = "var(--jp-ui-font-color1, inherit)"
FAINT = "var(--jp-ui-font-color2, #767f8a)"
FRAME = "var(--jp-border-color2, #b0b7bf)"
FONT = "var(--jp-ui-font-family, sans-serif)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A small table: HTML in a notebook, aligned text elsewhere."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    def _repr_html_(self) -> str:
        style = "text-align:left;vertical-align:top;white-space:pre-line;padding:4px 14px 4px 6px"
        head = "".join(f"<th scope='col' style='{style}'>{html.escape(c)}</th>" for c in self.columns)
        lines = ("".join(f"<td style='{style}'>{html.escape(c)}</td>" for c in row) for row in self.rows)
        said = f"<div style='font-weight:600;padding:4px 0'>{html.escape(self.caption)}</div>" if self.caption else ""
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        label = html.escape(self.caption or ", ".join(self.columns))
        table = f"<table aria-label='{label}'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return said + (table if self.rows else "")

    def __repr__(self) -> str:
        shown = (self.columns, *self.rows) if self.rows else ()
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in shown)
        return "\n".join(line.rstrip() for line in (*((self.caption,) if self.caption else ()), *lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A widget, and what is kept of it in a notebook that nothing runs: a text, and a picture where there is one."""

    widget: widgets.DOMWidget
    text: str
    chart: Any = None
    names: dict[str, Any] = field(default_factory=dict)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = dict(self.widget._repr_mimebundle_()) | {"text/plain": self.text}
        if self.chart is not None:
            bundle["image/png"] = base64.b64encode(png(self.chart)).decode()
        return bundle

    def __repr__(self) -> str:
        return self.text


def picture(chart: Any, *, key: str = "") -> View:
    """A chart as a view; its text alternative is what is kept as text."""
    return View(widget=widgets.HTML(drawn((chart,), key=key)), text=chart.description, chart=chart)


def drawn(charts: Iterable[Any], *, key: str = "") -> str:
    """Charts as HTML that takes the colours of the page it stands in."""
    style = f"color:{TEXT};line-height:normal;max-width:100%;overflow-x:auto"
    return "".join(f"<div style='{style}'>{svg(chart, key=key)}</div>" for chart in charts)


def png(chart: Any) -> bytes:
    """A chart as a PNG whose text reads on light and on dark; of 256 colours, since a notebook is kept."""
    text = svg(chart).replace("currentColor", MID_TONE)
    large, small = io.BytesIO(require("vl_convert").svg_to_png(text, scale=1.0)), io.BytesIO()
    Image.open(large).quantize(256, method=Image.Quantize.FASTOCTREE).save(small, "PNG", optimize=True)
    return small.getvalue()


def table_html(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table as HTML, for a widget."""
    return f"<div style='color:{TEXT};line-height:1.4'>{Table(columns=columns, rows=tuple(rows))._repr_html_()}</div>"


def note(text: str, *, strong: bool = False) -> str:
    """A line of text as HTML, for a widget."""
    weight = 600 if strong else 400
    body = html.escape(text).replace("\n", "<br>")
    return f"<div style='color:{TEXT};font-weight:{weight};line-height:1.5'>{body}</div>"


def command(line: str) -> str:
    """A command line as HTML, for a widget."""
    return f"<code style='color:{TEXT};font-size:12px;line-height:1.5'>$ {html.escape(line)}</code>"


def same_as(action: Action) -> None:
    """Print the command line and the Python call that do the same as a cell."""
    print(f"$ {action.line}\n>>> {action.call}")  # noqa: T201 - the cell's answer
