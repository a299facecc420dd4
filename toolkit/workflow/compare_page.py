"""The page of a comparison: what `toolkit compare` found, as tables and sentences for report/comparison_page.py."""

from __future__ import annotations

import json
from pathlib import Path

from toolkit.load.difference import THROUGHPUT, Difference
from toolkit.records import SCHEMA, to_data, write_text
from toolkit.report.comparison_page import ComparisonPage, render_comparison
from toolkit.report.report import CPU_MARK
from toolkit.report.table import VERDICT, Column, Table, number_columns, text_columns
from toolkit.tune.words import sentence_text
from toolkit.workflow.comparison import AtLoad, Comparison, Side
from toolkit.workflow.runs import read_manifest, utc_now

CHANCE = "Each interval holds with 95 %: of {count}, {misses:.1g} may be expected to miss by chance alone."


def write_comparison_page(found: Comparison, a: Path, b: Path, output: Path) -> Path:
    """Write the page of a comparison of the run folders `a` and `b`. Returns `output`."""
    on_cpu = any(read_manifest(run).device == "CPU" for run in (a, b))
    write_text(output, render_comparison(page_of(found, created=utc_now(), mark=CPU_MARK if on_cpu else "")))
    return output


def page_of(found: Comparison, *, created: str, mark: str) -> ComparisonPage:
    """The page's texts and tables from the comparison's values."""
    known = [d for at in found.loads for d in at.differences if d.low is not None]
    chance = (CHANCE.format(count=len(known), misses=len(known) / 20),) if known else ()
    missing = (f"Measured in one of them only: {', '.join(found.only_in_one)}.",) if found.only_in_one else ()
    said = (sentence_text(f"{at.text}: {text}") for at in found.loads for text in (*at.sentences, *at.left_out))
    tables = (_differences(found), _changed(found), _gates(found))
    return ComparisonPage(
        title=f"{found.a.run} and {found.b.run}",
        created=created,
        outcome=found.outcome if found.gates else "",
        sentence=_sentence(found, known),
        sides=(("A", _side(found.a)), ("B", _side(found.b)), ("How", found.how)),
        tables=tuple(table for table in tables if table.rows),
        notes=(*said, *missing, *chance),
        mark=mark,
        raw=json.dumps({"schema": SCHEMA} | to_data(found), ensure_ascii=False, allow_nan=False),
    )


def _sentence(found: Comparison, known: list[Difference]) -> str:
    """What a reader takes away: which differences are more than noise."""
    sure = [d for d in known if d.low is not None and d.high is not None and (d.low > 0 or d.high < 0)]
    if not known:
        return "No difference has an interval, so nothing can be told apart."
    if not sure:
        return f"None of {len(known)} differences is told from noise."
    largest = max(sure, key=lambda d: abs(d.change))
    count = f"{len(sure)} of {len(known)} differences are more than noise"
    return f"{count}; the largest is that of {largest.metric}: {_percent(largest.change)}."


def _side(side: Side) -> str:
    return f"{side.run} ({side.candidate}, {side.engine})"


def _differences(found: Comparison) -> Table:
    columns = (
        *text_columns("Load", "Figure"),
        *number_columns("A", "B"),
        *number_columns("Change", "95 % interval"),
        *number_columns("Rounds"),
    )
    rows = tuple(_row(at, d) for at in found.loads for d in at.differences)
    return Table(caption="B against A at each load", columns=columns, rows=rows)


def _row(at: AtLoad, d: Difference) -> tuple[str, ...]:
    scale, unit = (1.0, "/s") if d.metric == THROUGHPUT else (1e3, " ms")
    interval = d.why if d.low is None or d.high is None else f"{_percent(d.low)} to {_percent(d.high)}"
    figures = f"{scale * d.a:,.4g}{unit}", f"{scale * d.b:,.4g}{unit}"
    return (at.text, d.metric, *figures, _percent(d.change), interval, str(d.rounds or "–"))


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %"


def _changed(found: Comparison) -> Table:
    rows = tuple((c.what, c.a or "none", c.b or "none") for c in found.changed)
    return Table(caption="What else differs between the runs", columns=text_columns("What", "A", "B"), rows=rows)


def _gates(found: Comparison) -> Table:
    columns = (Column(title="Gate", kind="code"), *text_columns("Load", "Why"), VERDICT)
    rows = tuple((g.gate, g.load, sentence_text(g.reason), g.outcome) for g in found.gates)
    return Table(caption="Gates", columns=columns, rows=rows)
