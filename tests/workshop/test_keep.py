"""What is kept of an executed notebook."""

from __future__ import annotations

from typing import Any

from toolkit.workshop.keep import WIDGET, kept


def notebook(*outputs: dict[str, Any]) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": "a", "metadata": {"execution": {}, "tags": ["x"]}, "source": ["1"]}
    metadata = {"widgets": {"state": 1}, "kernelspec": {"name": "python3"}, "language_info": {"version": "3.11"}}
    return {"cells": [cell | {"execution_count": 7, "outputs": list(outputs)}], "metadata": metadata, "nbformat": 4}


def test_pictures_tables_and_words_stay_and_what_needs_a_kernel_goes() -> None:
    data = {WIDGET: {"model_id": "1"}, "text/plain": "two curves", "image/png": "iVBO"}
    picture = {"output_type": "display_data", "metadata": {"a": 1}, "data": data}
    control = {"output_type": "display_data", "metadata": {}, "data": {WIDGET: {}, "text/plain": "VBox(children=())"}}
    table = {"output_type": "execute_result", "metadata": {}, "data": {"text/html": "<table>"}, "execution_count": 7}
    said = {"output_type": "stream", "name": "stdout", "text": "PASS"}
    complaint = {"output_type": "stream", "name": "stderr", "text": "a warning"}
    found = kept(notebook(picture, control, table, said, complaint))
    cell = found["cells"][0]
    assert found["metadata"] == {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}}
    assert cell["metadata"] == {"tags": ["x"]} and cell["execution_count"] == 1
    assert [output.get("data", output.get("text")) for output in cell["outputs"]] == [
        {"text/plain": "two curves", "image/png": "iVBO"},
        {"text/html": "<table>"},
        "PASS",
    ]


def test_it_is_the_same_when_it_is_kept_again() -> None:
    once = kept(notebook({"output_type": "stream", "name": "stdout", "text": "PASS"}))
    assert kept(once) == once


def test_the_folders_of_this_machine_go_and_addresses_and_markup_stay() -> None:
    html = ["<td>/usr/bin/chromium</td><td>127.0.0.1:8000/v2/models</td>", "<td>runs/a/report.html</td>"]
    table = {"output_type": "execute_result", "metadata": {}, "data": {"text/html": html}, "execution_count": 7}
    data = kept(notebook(table))["cells"][0]["outputs"][0]["data"]
    assert data["text/html"] == ["<td>chromium</td><td>127.0.0.1:8000/v2/models</td>", html[1]]
