"""A `.keras` archive as data: does its own JSON name code that would run when it is opened?

In: a path. Out: nothing, or ModelRefused naming the layer. Keras is not imported, and nothing is executed.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolkit.errors import ModelRefused

CONFIG_MEMBER = "config.json"
_OWN_MODULES = ("keras", "builtins")


def check_keras(path: Path, *, trust: bool) -> None:
    """Refuse an archive with Lambda layers or classes of other packages unless `trust`. Raises ModelRefused."""
    config = keras_config(path)
    code = code_in(config)
    if code and not trust:
        raise ModelRefused(
            f"{path}: {code[0]}, and opening the file would run it",
            mend="if you trust where it came from, add --trust; or save the model with layers of Keras alone",
        )


def keras_config(path: Path) -> Any:
    """The model's own JSON. Raises ModelRefused when the archive has none that can be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(CONFIG_MEMBER))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as err:
        raise ModelRefused(
            f"{path} is damaged or not a Keras 3 archive: it has no readable {CONFIG_MEMBER}",
            mend="save the model again: model.save('model.keras')",
        ) from err


def code_in(config: Any) -> tuple[str, ...]:
    """What in a Keras configuration is code: Lambda layers, pickled functions, classes of other packages."""
    return tuple(_code_in(config))


def _code_in(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _code_in(item)
    if not isinstance(value, dict):
        return
    kind, module = value.get("class_name"), value.get("module")
    name = (value.get("config") or {}).get("name", "") if isinstance(value.get("config"), dict) else ""
    if kind in ("Lambda", "__lambda__"):
        yield f"layer '{name or kind}' is a Lambda, Python code hidden in the file"
    elif kind and module and module.split(".")[0] not in _OWN_MODULES:
        yield f"'{name or kind}' is a {module}.{kind}, which is not part of Keras"
    for item in value.values():
        yield from _code_in(item)
