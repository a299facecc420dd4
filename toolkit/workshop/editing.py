"""The configuration of an entry in fields: what the linter says beside each, and what differs from what is served.

In: the repository of a run. Out: an edited copy beside it, and the setting with which a run measures it. The linter and
the diff are the library's; a field that is empty stays as it is.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from toolkit.errors import ToolkitError, UsageError
from toolkit.repository.entry import read_entries
from toolkit.repository.lint import Remark
from toolkit.repository.model_config import ModelConfig
from toolkit.workflow.edit import Edit, setting_of, try_change
from toolkit.workflow.runs import repository_of
from toolkit.workshop import actions
from toolkit.workshop.actions import short
from toolkit.workshop.plain import plainly
from toolkit.workshop.show import FAINT, TEXT, View, note, same_as, table_html

EDITED = "edited"
NO_REMARK = "no remark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a ModelConfig: how it is read from one, and the partial config that a typed text makes."""

    name: str
    read: Callable[[ModelConfig], str]
    change: Callable[[str], dict[str, Any]]
    hint: str


def _instances(config: ModelConfig) -> str:
    return str(config.instance_group[0].count or 1) if config.instance_group else "1"


def _delay(config: ModelConfig) -> str:
    return str(config.dynamic_batching.max_queue_delay_microseconds) if config.dynamic_batching else ""


def _preferred(config: ModelConfig) -> str:
    return ", ".join(map(str, config.dynamic_batching.preferred_batch_size)) if config.dynamic_batching else ""


def _threads(config: ModelConfig) -> str:
    found = config.parameters.get("intra_op_thread_count")
    return found.string_value if found is not None else ""


FIELDS = (
    Field(
        name="max_batch_size",
        read=lambda config: str(config.max_batch_size),
        change=lambda text: {"max_batch_size": whole("max_batch_size", text)},
        hint="the most rows of one execution",
    ),
    Field(
        name="instance_group.count",
        read=_instances,
        change=lambda text: {"instance_group": [{"count": whole("instance_group.count", text)}]},
        hint="executions at the same time",
    ),
    Field(
        name="max_queue_delay_microseconds",
        read=_delay,
        change=lambda text: {
            "dynamic_batching": {"max_queue_delay_microseconds": whole("max_queue_delay_microseconds", text)}
        },
        hint="how long a request may wait for others",
    ),
    Field(
        name="preferred_batch_size",
        read=_preferred,
        change=lambda text: {
            "dynamic_batching": {
                "preferred_batch_size": [
                    whole("preferred_batch_size", part) for part in text.split(",") if part.strip()
                ]
            }
        },
        hint="sizes that are sent off at once",
    ),
    Field(
        name="intra_op_thread_count",
        read=_threads,
        change=lambda text: {"parameters": {"intra_op_thread_count": whole("intra_op_thread_count", text)}},
        hint="threads of one execution (ONNX Runtime)",
    ),
)


def whole(name: str, text: str) -> int:
    """A whole number that somebody typed. Raises UsageError that names the field."""
    try:
        return int(text.strip())
    except ValueError as err:
        raise UsageError(f"{name} is '{text}'; expected a whole number", mend="for example 8") from err


class Editor:
    """Fields of one entry at a time. `change` is what differs by now; `settings` measure it instead of poc.yaml's."""

    def __init__(self, run: Path, entry: str | None = None) -> None:
        repository = repository_of(run)
        if repository is None:
            raise UsageError(f"{short(run)} holds no repository", mend="run the cell with workshop.build first")
        self._repository, self._copy = repository, run / EDITED
        self._configs = {e.name: e.config for e in read_entries(repository) if not e.config.is_ensemble}
        if entry is not None and entry not in self._configs:
            raise UsageError(f"there is no entry '{entry}'; there: {', '.join(self._configs)}")
        self._typed: dict[str, dict[str, str]] = {name: {} for name in self._configs}
        self.change: dict[str, dict[str, Any]] = {}
        self.entry = widgets.Dropdown(
            options=list(self._configs), value=entry or next(iter(self._configs)), description="entry"
        )
        style, layout = {"description_width": "220px"}, {"width": "340px"}
        self.fields = {
            f.name: widgets.Text(
                description=f.name, style=style, layout=layout, continuous_update=False, tooltip=f.hint
            )
            for f in FIELDS
        }
        self._beside = {f.name: widgets.HTML() for f in FIELDS}
        self._whole, self._difference = widgets.HTML(), widgets.HTML()
        self.text = ""
        self._fill()
        self._try()
        self.entry.observe(lambda _: self._fill(), names="value")
        for name, box in self.fields.items():
            box.observe(lambda changed, name=name: self.type(name, changed["new"]), names="value")

    @property
    def settings(self) -> tuple[str, ...]:
        """`--set` texts that measure the edited configuration in place of poc.yaml's; none without a change."""
        return (setting_of(EDITED, self.change),) if self.change else ()

    def view(self) -> View:
        """The fields with their remarks, and below them the difference."""
        rows = [widgets.HBox([self.fields[f.name], self._beside[f.name]]) for f in FIELDS]
        widget = widgets.VBox([self.entry, *rows, self._whole, self._difference])
        return View(widget=widget, text=self.text, names={"entry": self.entry, **self.fields})

    def type(self, name: str, text: str) -> None:
        """Take a field of the shown entry as typed, lint the copy, and show the difference."""
        entry = self.entry.value
        if text == self._read(entry, name):
            self._typed[entry].pop(name, None)
        else:
            self._typed[entry][name] = text
        self._try()

    def _read(self, entry: str, name: str) -> str:
        return next(f for f in FIELDS if f.name == name).read(self._configs[entry])

    def _fill(self) -> None:
        entry = self.entry.value
        for name, box in self.fields.items():
            with box.hold_trait_notifications():
                box.value = self._typed[entry].get(name, self._read(entry, name))

    def _try(self) -> None:
        try:
            self.change = {e: change for e, typed in self._typed.items() if (change := change_of(typed))}
            edit = try_change(self._repository, self._copy, self.change)
        except ToolkitError as err:
            self.text = str(err)
            self._whole.value, self._difference.value = note(self.text), ""
            return
        self._show(edit)

    def _show(self, edit: Edit) -> None:
        own = [r for r in edit.remarks if r.entry == self.entry.value]
        for field in FIELDS:
            beside = [r for r in own if _is_about(r, field)]
            self._beside[field.name].value = _remarks(beside) or f"<span style='color:{FAINT}'>{field.hint}</span>"
        rest = [r for r in edit.remarks if not any(_is_about(r, f) for f in FIELDS) or r not in own]
        errors = sum(r.severity == "error" for r in edit.remarks)
        verdict = f"{'PASS' if edit.is_served else 'FAIL'}: the linter finds {errors} errors"
        self._whole.value = note(verdict, strong=True) + _remarks(rest)
        rows = tuple((d.entry, d.field, d.before, d.after, d.meaning) for d in edit.differences)
        shown = table_html(("entry", "field", "as it is", "edited", "what it does"), rows) if rows else ""
        self._difference.value = shown or note("no difference from what is served")
        self.text = "\n".join((verdict, *(f"{d.entry}: {d.field} {d.before} -> {d.after}" for d in edit.differences)))


def change_of(typed: dict[str, str]) -> dict[str, Any]:
    """The partial config that typed fields make; an empty one leaves its field as it is. Raises UsageError."""
    found: dict[str, Any] = {}
    for field in FIELDS:
        if typed.get(field.name, "").strip():
            for key, value in field.change(typed[field.name]).items():
                found[key] = found[key] | value if isinstance(value, dict) and key in found else value
    return found


def _is_about(remark: Remark, field: Field) -> bool:
    return field.name in remark.text or field.name.partition(".")[0] in remark.text.partition(" ")[0]


def _remarks(remarks: list[Remark]) -> str:
    return "".join(
        f"<div role='alert' style='color:{TEXT};line-height:1.4'><b>{r.severity}</b> {r.rule} {html.escape(r.text)}; "
        f"<i>mend: {html.escape(r.remedy)}</i></div>"
        for r in remarks
    )


@plainly
def configure(run: Path, entry: str | None = None) -> Editor:
    """An editor for the configuration of a run's entries; what it is given is linted and compared at once."""
    editor = Editor(run, entry)
    same_as(actions.lint(run / EDITED))
    return editor
