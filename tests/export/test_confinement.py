"""Code hidden in a data file: never run without --trust, and with it without a network and within limits."""

from __future__ import annotations

import pickle
import socket
import zipfile
from pathlib import Path

import joblib
import pytest
import torch

from toolkit.errors import ExportFailed, ModelRefused
from toolkit.export.confinement import Limits
from toolkit.export.process import run_worker
from toolkit.export.spec import ExportSpec, WorkerRequest
from toolkit.models.source import Source, source_from_path


class Hidden:
    """Unpickling it executes `code`."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (self.code,)


CALL_HOME = """
import pathlib, socket
try:
    socket.create_connection(("127.0.0.1", {port}), 2).sendall(b"secrets")
    said = "connected"
except OSError as err:
    said = str(err)
pathlib.Path({said!r}).write_text(said)
"""


def write_pickle(path: Path, code: str) -> Path:
    with path.open("wb") as file:
        joblib.dump(Hidden(code), file) if path.suffix == ".joblib" else pickle.dump(Hidden(code), file)
    return path


def write_pt2(path: Path, code: str) -> Path:
    """An honest export in which the saved sample inputs are replaced by a pickle with code."""
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.ones(3, 2),))
    torch.export.save(program, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    torch.save(Hidden(code), path.parent / "hidden.pt")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            is_samples = "sample_inputs" in name
            archive.writestr(name, (path.parent / "hidden.pt").read_bytes() if is_samples else content)
    (path.parent / "hidden.pt").unlink()
    return path


def open_in_worker(source: Source, folder: Path, limits: Limits) -> None:
    folder.mkdir()
    request = WorkerRequest(action="export", source=source, spec=ExportSpec(limits=limits))
    run_worker(request, folder / "request.json", folder / "export.log")


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.pt", "model.pt2"])
def test_hidden_code_runs_only_with_trust_and_then_without_a_network(tmp_path, name):
    said = tmp_path / "said.txt"
    with socket.create_server(("127.0.0.1", 0)) as home:
        code = CALL_HOME.format(port=home.getsockname()[1], said=str(said))
        path = (write_pt2 if name.endswith("pt2") else write_pickle)(tmp_path / name, code)
        with pytest.raises(ModelRefused, match="can run any code") as caught:
            source_from_path(str(path))
        assert "--trust" in caught.value.mend and not said.exists()

        with pytest.raises((ModelRefused, ExportFailed)):  # what was hidden is no model
            open_in_worker(source_from_path(str(path), trust=True), tmp_path / "out", Limits())
        log = (tmp_path / "out" / "export.log").read_text()
        if "could not be cut off" in log:
            pytest.skip("this system gives no network namespace to its user")
        assert "unreachable" in said.read_text()
        home.settimeout(0.2)
        with pytest.raises(TimeoutError):
            home.accept()


def test_a_file_that_takes_too_long_is_ended(tmp_path):
    path = write_pickle(tmp_path / "model.pkl", "import time; time.sleep(600)")
    with pytest.raises(ExportFailed, match=r"took longer than 4 s, the limit"):
        open_in_worker(source_from_path(str(path), trust=True), tmp_path / "out", Limits(time_s=4))


def test_a_file_that_wants_too_much_memory_gets_none(tmp_path):
    path = write_pickle(tmp_path / "model.pkl", "bytearray(3 << 30)")
    with pytest.raises(ExportFailed, match=r"more memory than 2\.15 GB, the limit") as caught:
        open_in_worker(source_from_path(str(path), trust=True), tmp_path / "out", Limits(memory_bytes=2 << 30))
    assert "--memory" in caught.value.mend


def test_formats_of_data_are_not_confined(model_py, tmp_path):
    """The customer's own Python file was named, which is consent; it may need the network and time."""
    source = source_from_path(str(model_py()))
    open_in_worker(source, tmp_path / "out", Limits(time_s=0.0))
    assert (tmp_path / "out" / "model.onnx").is_file()
