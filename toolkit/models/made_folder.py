"""A Python function that makes a Hugging Face folder: `def load_model() -> Path`. The annotation says that it does.

In: a Source of a `.py` file. Out: the Source of the folder that its function returns, checked like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import ModelRefused
from toolkit.models.code import accepting, customer_code, imported, named_function
from toolkit.models.huggingface import is_huggingface
from toolkit.models.source import Source, huggingface_source


def returns_path(source: Source) -> bool:
    """Whether the source's function is annotated to return a Path, read off the syntax tree without running it."""
    if source.entry is None or source.path.suffix != ".py":
        return False
    try:
        tree = ast.parse(source.path.read_bytes())
    except (SyntaxError, ValueError):
        return False  # whoever imports the file names the line
    return any(
        isinstance(node, ast.FunctionDef) and node.name == source.entry and _is_path(node.returns) for node in tree.body
    )


def made_folder(source: Source, *, arguments: Mapping[str, Any]) -> Source:
    """Run the function, with those of `arguments` that it names, in this process: only the export worker calls this.

    Raises ModelRefused with the line at fault, and for a folder that is refused.
    """
    assert source.entry is not None
    code = imported(source.path)
    factory = accepting(named_function(code, source.path, source.entry), arguments)
    with customer_code(source.path, f"{source.entry}()", ModelRefused):
        folder = factory()
    if not isinstance(folder, Path) or not is_huggingface(folder):
        raise ModelRefused(
            f"{source.path}: {source.entry}() returned {folder!r}, which is no Hugging Face folder",
            mend="return the Path of a folder with config.json, tokenizer.json and model.safetensors",
        )
    return huggingface_source(folder)


def _is_path(annotation: ast.expr | None) -> bool:
    text = "" if annotation is None else ast.unparse(annotation).strip("'\"")
    return text in ("Path", "pathlib.Path")
