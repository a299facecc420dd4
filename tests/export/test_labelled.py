"""Labels that come with the samples are what the task metric is judged on."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.errors import UsageError
from toolkit.export.arrays import read_arrays
from toolkit.export.check import check_parity
from toolkit.export.labelled import write_labelled
from toolkit.export.onnx_export import export_onnx
from toolkit.export.onnxruntime import run_onnx
from toolkit.export.parity import top1
from toolkit.export.spec import HELD_OUT_FILE, HELD_OUT_REFERENCE_FILE, SAMPLES_FILE, ExportSpec, WorkerRequest
from toolkit.models.source import source_from_path

X = np.random.default_rng(0).standard_normal((90, 4)).astype(np.float32)


def test_labels_beside_the_samples_are_judged_all_of_them(make_onnx, tmp_path):
    path = make_onnx()
    labels = run_onnx(path, {"x": X})["y"].argmax(1)
    labels[:9] = (labels[:9] + 1) % 3
    np.savez(tmp_path / "data.npz", x=X, label=labels)
    spec = ExportSpec(samples=tmp_path / "data.npz", sample_count=8)
    (tmp_path / "out").mkdir()
    request = WorkerRequest(action="export", source=source_from_path(str(path)), spec=spec)
    export_onnx(request, tmp_path / "out", lambda phase: None)
    assert set(read_arrays(tmp_path / "out" / SAMPLES_FILE)) == {"x"}
    result = check_parity(tmp_path / "out", spec, task=top1)
    assert result.passed and result.task and result.task.samples == 90
    assert result.task.reference == pytest.approx(0.9) and result.task.disagreements == 0


def test_an_input_of_that_name_is_no_label(tmp_path):
    np.savez(tmp_path / "data.npz", label=X)
    assert not write_labelled(tmp_path, tmp_path / "data.npz", ("label",), dict)
    assert not write_labelled(tmp_path, None, ("x",), dict)
    np.savez(tmp_path / "plain.npz", x=X)
    assert not write_labelled(tmp_path, tmp_path / "plain.npz", ("x",), dict)
    assert not (tmp_path / HELD_OUT_FILE).exists() and not (tmp_path / HELD_OUT_REFERENCE_FILE).exists()


@pytest.mark.parametrize("labels", [np.zeros(89), np.zeros((90, 2))])
def test_labels_that_do_not_fit_are_refused(tmp_path, labels):
    np.savez(tmp_path / "data.npz", x=X, label=labels)
    with pytest.raises(UsageError, match="'label' has shape"):
        write_labelled(tmp_path, tmp_path / "data.npz", ("x",), dict)
