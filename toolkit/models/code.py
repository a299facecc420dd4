"""A customer's Python file: imported, one of its functions found, and its failures named by file and line.

Runs their code, so only the export worker calls this. It does not know what the function is for.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from toolkit.errors import ModelRefused, ToolkitError


@contextmanager
def customer_code(path: Path, doing: str, error: type[ToolkitError], *, mend: str = "") -> Iterator[None]:
    """Turn whatever the customer's code raises below into `error`, which names the file and line."""
    try:
        yield
    except (ToolkitError, MemoryError):
        raise
    except Exception as err:
        text = str(err).strip().splitlines()
        raised = f"{type(err).__name__}: {text[0]}" if text else type(err).__name__
        place = customer_line(err, path)
        raise error(f"{place}: {doing} raised {raised}", mend=mend or f"mend {place}") from err


def customer_line(err: BaseException, path: Path) -> str:
    """`file:line` of the innermost frame of a traceback that lies beside the customer's file; else the file."""
    if isinstance(err, SyntaxError) and err.filename:
        return f"{err.filename}:{err.lineno}"
    folder = path.parent.resolve()
    for frame in reversed(traceback.extract_tb(err.__traceback__)):
        if Path(frame.filename).resolve().is_relative_to(folder) and "site-packages" not in frame.filename:
            return f"{frame.filename}:{frame.lineno}"
    return str(path)


def imported(path: Path) -> ModuleType:
    """Execute the file, which may import its siblings, under a name that cannot shadow somebody else's module."""
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location("customer_model", path)
    if spec is None or spec.loader is None:
        raise ModelRefused(f"{path} cannot be imported as Python")
    code = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = code
    with customer_code(path, "importing it", ModelRefused):
        spec.loader.exec_module(code)
    return code


def accepting(function: Callable[..., Any], arguments: Mapping[str, Any], *, positional: int = 0) -> Callable[..., Any]:
    """`function` with those of `arguments` already given that it names after its first `positional` parameters."""
    names = list(inspect.signature(function).parameters)[positional:]
    return partial(function, **{name: value for name, value in arguments.items() if name in names})


def named_function(code: ModuleType, path: Path, entry: str) -> Callable[..., Any]:
    """The function `entry` of the customer's file. Raises ModelRefused that names the nearest one."""
    factory = getattr(code, entry, None)
    if callable(factory):
        return factory  # type: ignore[no-any-return]
    offered = [
        n for n, value in vars(code).items() if callable(value) and getattr(value, "__module__", "") == code.__name__
    ]
    close = difflib.get_close_matches(entry, offered, n=1) or offered[:1]
    raise ModelRefused(
        f"{path} has no function '{entry}'; it defines: {', '.join(offered) or 'none'}",
        mend=f"give {path}:{close[0]}" if close else f"define {entry}()",
    )
