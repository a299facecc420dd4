"""YOUR MODEL HERE: a path, or a file from the browser, checked on the spot by looking into it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from toolkit.errors import ToolkitError, UsageError
from toolkit.export.inspect import Inspection, inspect_model
from toolkit.models.source import source_from_path
from toolkit.records import write_bytes
from toolkit.workshop import actions
from toolkit.workshop.actions import short
from toolkit.workshop.opened import Opened, read_opened
from toolkit.workshop.plain import plainly
from toolkit.workshop.show import View, note, same_as, table_html

UPLOADS = "uploads"


class Picker:
    """The model of a PoC, or one in its place. `opened` is the PoC with the last model that could be opened."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.path = widgets.Text(
            value=opened.model,
            placeholder="path/to/model.onnx, or file.py:factory",
            description="your model",
            layout={"width": "520px"},
            continuous_update=False,
        )
        self.upload = widgets.FileUpload(
            description="or upload a file", multiple=False, tooltip="One file; a folder goes by its path"
        )
        self._said, self._signature = widgets.HTML(), widgets.HTML()
        self.text = ""
        self.path.observe(lambda changed: self.check(changed["new"]), names="value")
        self.upload.observe(lambda changed: self._take(changed["new"]), names="value")
        self.check(opened.model)

    def view(self) -> View:
        """The two ways in, and what was found."""
        widget = widgets.VBox([widgets.HBox([self.path, self.upload]), self._said, self._signature])
        return View(widget=widget, text=self.text, names={"path": self.path, "upload": self.upload})

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return self.view()._repr_mimebundle_()

    def check(self, model: str) -> None:
        """Look into a model. One that cannot be opened is refused with the mend, and the last one stays."""
        try:
            opened, found = checked(self.opened, model)
        except ToolkitError as err:
            self.text = f"FAIL: {err}"
            self._said.value, self._signature.value = note(self.text, strong=True), ""
            return
        self.opened = opened
        self.text = f"PASS: {found.framework}, {found.parameters:,} parameters, {found.size_bytes:,} bytes"
        self._said.value = note(self.text, strong=True)
        self._signature.value = signature_html(found)

    def _take(self, files: tuple[dict[str, Any], ...]) -> None:
        for file in files:
            place = self.opened.root / UPLOADS / Path(file["name"]).name
            write_bytes(place, bytes(file["content"]))
            self.path.value = short(place)


def checked(opened: Opened, model: str) -> tuple[Opened, Inspection]:
    """The PoC with a model in place of its own, and what that is. Raises what refuses it."""
    found = open_again(opened, model) if model != opened.model else opened
    source = found.poc.source_of(found.poc.model)
    return found, inspect_model(source_from_path(source), arguments=found.poc.file.arguments)


def open_again(opened: Opened, model: str) -> Opened:
    """The same PoC with another model. Raises UsageError where it has several, or there is none at that path."""
    return replace(read_opened(opened.poc.folder, model, opened.settings), root=opened.root)


def signature_html(found: Inspection) -> str:
    """Inputs and outputs of a model as a table."""
    if found.signature is None:
        return note("it offers no samples, so its inputs are not known yet")
    sides: tuple[tuple[str, Any], ...] = (("input", found.signature.inputs), ("output", found.signature.outputs))
    rows = tuple((side, t.name, t.text().partition(":")[2]) for side, tensors in sides for t in tensors)
    return table_html(("side", "name", "type and shape"), rows)


@plainly
def pick_model(opened: Opened) -> Picker:
    """A picker with the PoC's model, which runs as it is; a path or an upload takes its place."""
    same_as(actions.inspect(opened.poc.source_of(opened.poc.model)))
    picker = Picker(opened)
    if picker.text.startswith("FAIL"):
        raise UsageError(picker.text.removeprefix("FAIL: "))
    return picker
