"""The whole way through the worker process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from toolkit.artifact import read_artifact
from toolkit.errors import ExportFailed, ModelRefused, UsageError
from toolkit.export.export import export
from toolkit.export.inspect import inspect_model
from toolkit.export.parity import ParityResult, top1
from toolkit.export.spec import ExportSpec
from toolkit.models.source import source_from_path
from toolkit.records import digest_of_file, read_json
from toolkit.tensor import tensor_from_text

SPEC = ExportSpec(sample_count=9)


def test_an_artifact_that_was_proven_and_can_be_made_again(model_py, tmp_path, capfd):
    more = "def held_out(): return sample_inputs(1, 9), np.arange(9) % 3\nprint('printed by the customer')\n"
    source, folder, phases = source_from_path(str(model_py(more=more))), tmp_path / "artifacts" / "net", []
    artifact = export(source, SPEC, folder, name="net", task=top1, progress=phases.append)
    assert (artifact.parity, artifact.opset, artifact.files) == ("passed", 20, ("model.onnx",))
    assert artifact.source_sha256 == source.sha256 and artifact.signature.is_batchable
    assert read_artifact(folder) == artifact
    parity = read_json(folder / "parity.json", ParityResult)
    assert parity.passed and parity.task and parity.task.samples == 9
    assert phases[0] == "loading the model" and phases[-1].startswith("comparing")
    assert capfd.readouterr() == ("", "")
    assert "printed by the customer" in (folder / "export.log").read_text()

    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(tmp_path / "artifacts", moved / "artifacts")
    shutil.move(tmp_path / "customer", moved / "customer")
    script = moved / "artifacts" / "net" / "reproduce.sh"
    again = subprocess.run(["sh", script], env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "the same model, byte for byte" in again.stdout
    assert digest_of_file(script.parent / "again" / "model.onnx") == artifact.sha256


def test_a_wrong_weight_that_appears_while_exporting_is_a_result(model_py, tmp_path):
    """The weight is wrong in the exported graph alone, as after a converter's bug."""
    body = "wrong = 0.05 if torch.compiler.is_exporting() else 0.0\nreturn self.linear(x) + wrong * x[:, :1]"
    artifact = export(source_from_path(str(model_py(body))), SPEC, tmp_path / "out", name="net")
    assert artifact.parity == "failed"
    parity = read_json(tmp_path / "out" / "parity.json", ParityResult)
    assert not parity.passed and parity.outputs[0].mismatches > 0 and "worst in sample" in parity.reason


def test_a_known_failure_comes_back_as_its_own_error(model_py, tmp_path):
    source = source_from_path(f"{model_py()}:absent")
    with pytest.raises(ModelRefused, match=r"has no function 'absent'; it defines: Net, load_model, sample_inputs"):
        export(source, SPEC, tmp_path / "out", name="net")
    assert not (tmp_path / "out" / "artifact.json").exists()
    assert "Traceback" in (tmp_path / "out" / "export.log").read_text()


def test_a_worker_that_ends_without_an_answer_has_failed_whatever_its_exit_code(model_py, tmp_path):
    source = source_from_path(str(model_py(more="print('so far')\nraise SystemExit(0)")))
    with pytest.raises(ExportFailed, match="ended with exit code 0 while loading the model:\n    so far") as caught:
        export(source, SPEC, tmp_path / "out", name="net")
    assert str(tmp_path / "out" / "export.log") in caught.value.mend


def test_onnx_source(make_onnx, tmp_path):
    path = make_onnx(external="weights.bin")
    artifact = export(source_from_path(str(path)), SPEC, tmp_path / "out", name="theirs")
    assert (artifact.parity, artifact.files) == ("passed", ("model.onnx", "weights.bin"))
    assert read_artifact(tmp_path / "out") == artifact


def test_a_folder_with_other_things_is_left_alone(model_py, tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter1.tex").write_text("words")
    with pytest.raises(UsageError, match=r"chapter1\.tex"):
        export(source_from_path(str(model_py())), SPEC, folder, name="net")
    assert (folder / "chapter1.tex").read_text() == "words"


def test_inspection_of_a_trusted_pickle(tmp_path):
    torch.save(torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()), tmp_path / "model.pt")
    source = source_from_path(str(tmp_path / "model.pt"), trust=True)
    found = inspect_model(source, (tensor_from_text("input:float32:batch,4"),))
    assert (found.framework, found.parameters, found.size_bytes, found.opset) == ("torch-pickle", 15, 60, None)
    assert found.operators == {"Linear": 1, "ReLU": 1}
    assert found.signature and found.signature.outputs[0].shape == ("batch", 3)
    assert "can run any code" in found.unsafe[0]


def test_inspection_of_an_onnx_file(make_onnx):
    found = inspect_model(source_from_path(str(make_onnx(x=(1, 4), y=(1, 3)))))
    assert (found.framework, found.parameters, found.opset, found.operators) == ("onnx", 12, 20, {"MatMul": 1})
    assert found.signature and found.signature.inputs[0].shape == (1, 4) and not found.unsafe
    assert found.notes[0] == "axis 0 of 'x' is 1: the batch is fixed"


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_parent(model_py, tmp_path, ending):
    pids = tmp_path / "pids"
    model = model_py(
        more=f"""
import os, pathlib, subprocess, time
child = subprocess.Popen(["sleep", "600"])
pathlib.Path({str(tmp_path / "pids.new")!r}).write_text(f"{{os.getpid()}} {{child.pid}}")
os.rename({str(tmp_path / "pids.new")!r}, {str(pids)!r})
time.sleep(600)
"""
    )
    program = f"""
from pathlib import Path
from toolkit.export.export import export
from toolkit.export.spec import ExportSpec
from toolkit.models.source import source_from_path
export(source_from_path({str(model)!r}), ExportSpec(), Path({str(tmp_path / "out")!r}), name="net")
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    try:
        assert eventually(pids.exists, 60)
        parent.send_signal(ending)
        assert parent.wait(10) != 0
        started = [int(pid) for pid in pids.read_text().split()]
        assert eventually(lambda: not any(is_alive(pid) for pid in started), 5)
    finally:
        parent.kill()
        parent.wait()


def eventually(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
