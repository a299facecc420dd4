"""`python -m toolkit.export.worker request.json [FOLDER]`: the process in which customers' code runs.

In: a WorkerRequest; its paths are relative to the file. Out, in FOLDER (by default the request's): model.onnx,
samples.npz, reference.npz and, where the model file has `held_out()`, the held-out files; or arrays.npz. With
`--channel FD` every message to the parent is a JSON line on that socket, and the parent's death ends this process and
its children. A model whose framework has an environment of its own is served there: this process becomes its Python.
What is not a known failure crashes with a traceback: standard error is the export log.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.errors import ExportFailed, ToolkitError
from toolkit.export.confinement import confine, memory_limit
from toolkit.export.environments import become_other_python, require_all
from toolkit.export.spec import WorkerRequest
from toolkit.models.formats import FORMATS
from toolkit.models.made_folder import made_folder, returns_path
from toolkit.models.source import is_confined
from toolkit.records import read_json, to_data

Say = Callable[[str], None]


def main(arguments: list[str]) -> int:
    """Serve one request; the exit code is 0 or that of the error."""
    parser = argparse.ArgumentParser(prog="python -m toolkit.export.worker", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("request", type=Path)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--channel", type=int)
    parser.add_argument("--here", action="store_true", help="this is the Python of the framework's environment")
    options = parser.parse_args(arguments)
    request = read_json(options.request, WorkerRequest).resolved_from(options.request.parent)
    absent = None if options.here else become_other_python(request, arguments)
    if options.here:
        sys.stderr.write(f"under {sys.executable}\n")
    # Before any thread starts: a namespace is left by the whole process only while it has one.
    remark = confine(request.spec.limits) if is_confined(request.source) else ""
    send = _printed if options.channel is None else _tethered(socket.socket(fileno=options.channel))
    try:
        if absent is not None:
            raise absent
        if remark:
            send({"phase": remark})
            sys.stderr.write(f"{remark}\n")
        result = _served(request, options.folder or options.request.parent, lambda phase: send({"phase": phase}))
    except ToolkitError as err:
        traceback.print_exc()
        send({"failed": type(err).__name__, "message": err.message, "mend": err.mend})
        return err.exit_code
    send({"done": to_data(result)})
    return 0


def _served(request: WorkerRequest, folder: Path, say: Say) -> Any:
    """`serve`, with the memory that its limit denies it as a known failure."""
    try:
        return serve(request, folder, say)
    except MemoryError as err:
        if not is_confined(request.source):
            raise
        raise ExportFailed(
            f"{request.source.path}: opening and exporting it takes more memory than"
            f" {memory_limit(request.spec.limits) / 1e9:.3g} GB, the limit for code that comes in a data file",
            mend="give it more with --memory, where the machine has it",
        ) from err


def serve(request: WorkerRequest, folder: Path, say: Say) -> Any:
    """Do what `request` asks. Raises a ToolkitError for the known causes, anything at all for the others."""
    if request.action == "arrays":
        from toolkit.export.made_arrays import make_arrays

        return make_arrays(request, folder)
    if request.action == "convert":
        from toolkit.export.precision import convert_precision

        return convert_precision(request, folder, say)
    require_all(FORMATS[request.source.framework])
    if returns_path(request.source):
        request = replace(request, source=made_folder(request.source, arguments=request.spec.arguments))
    if request.source.task == "causal-lm" and request.action != "locate":
        from toolkit.export.language_model import export_language_model, inspect_language_model

        serve_folder = export_language_model if request.action == "export" else inspect_language_model
        return serve_folder(request, folder, say)
    framework = request.source.framework
    if request.action == "locate":
        if "torch" not in FORMATS[framework].needs or framework == "torchscript":
            return ""  # only PyTorch's modules can be looked into
        from toolkit.export.pytorch_locate import locate_module

        return locate_module(request, folder, say)
    export, inspect = _actions(framework)
    return (export if request.action == "export" else inspect)(request, folder, say)


def _actions(framework: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What exports and what inspects the models of a framework."""
    if framework == "onnx":
        from toolkit.export.onnx_export import export_onnx

        return export_onnx, export_onnx
    if framework in ("skops", "pickle", "xgboost", "lightgbm", "catboost"):
        from toolkit.export.tabular_export import export_tabular, inspect_tabular

        return export_tabular, inspect_tabular
    if FORMATS[framework].environment:
        from toolkit.export.function_export import export_function, inspect_function

        return export_function, inspect_function
    from toolkit.export.pytorch_export import export_pytorch, inspect_pytorch

    return export_pytorch, inspect_pytorch


def _printed(message: dict[str, Any]) -> None:
    text = message.get("phase")
    if text:
        sys.stderr.write(f"{text}\n")


def _tethered(channel: socket.socket) -> Callable[[dict[str, Any]], None]:
    def watch() -> None:
        with contextlib.suppress(ConnectionError):  # a parent that died with messages unread resets the connection
            channel.recv(1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def send(message: dict[str, Any]) -> None:
        channel.sendall(json.dumps(message).encode() + b"\n")

    threading.Thread(target=watch, daemon=True).start()
    return send


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
