"""An executed notebook as it is kept: pictures, tables and words stay; widgets, which need a kernel, and paths go.

In: a notebook as Jupyter saves it. Out: the same, so that it reads on a page that runs nothing.
`python -m toolkit.workshop.keep NOTEBOOK...` does it to files.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from toolkit.records import write_text
from toolkit.workshop.actions import ROOT

#: The folders of an absolute path, which is no address and no closing tag.
_PLACE = re.compile(r"(?<![\w.:/<])/(?:[\w.-]+/)+(?=[\w.-])")
WIDGET = "application/vnd.jupyter.widget-view+json"


def kept(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook without widget state and times, and without outputs that only a kernel can show.

    Cells are counted anew, those without an output not at all: nbval refuses an output of a cell that never ran.
    """
    cells = [_kept_cell(cell, count) for count, cell in enumerate(notebook["cells"], 1)]
    metadata = {k: v for k, v in notebook["metadata"].items() if k in ("kernelspec", "language_info")}
    metadata["language_info"] = {"name": "python"}
    return notebook | {"cells": cells, "metadata": metadata}


def _kept_cell(cell: dict[str, Any], count: int) -> dict[str, Any]:
    tags = cell["metadata"].get("tags")
    cell = cell | {"metadata": {"tags": tags} if tags else {}}
    if cell["cell_type"] != "code":
        return cell
    outputs = [found for output in cell["outputs"] if (found := _kept_output(output, count)) is not None]
    return cell | {"execution_count": count if outputs else None, "outputs": outputs}


def _kept_output(output: dict[str, Any], number: int) -> dict[str, Any] | None:
    if output["output_type"] == "stream":
        return output if output["name"] == "stdout" else None
    if "data" not in output:
        return output
    data = {kind: _placeless(kind, value) for kind, value in output["data"].items() if kind != WIDGET}
    text = "".join(data.get("text/plain", ""))
    # What has no picture is a control, whose text is its Python representation.
    if WIDGET in output["data"] and text.startswith(("VBox(", "HBox(")):
        return None
    count = {"execution_count": number} if output["output_type"] == "execute_result" else {}
    return output | {"data": data, "metadata": {}} | count


def _placeless(kind: str, value: Any) -> Any:
    """A text, or its lines, without the folders of this machine's absolute paths; a picture as it is."""
    if not kind.startswith("text/"):
        return value
    return _PLACE.sub("", value) if isinstance(value, str) else [_PLACE.sub("", line) for line in value]


def main(paths: list[str]) -> None:
    """Rewrite each notebook as it is kept."""
    for path in map(Path, paths):
        notebook = json.loads(path.read_text().replace(f"{ROOT}/", ""))
        write_text(path, json.dumps(kept(notebook), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
