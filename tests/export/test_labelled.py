"""Labels that come with the samples are what the task metric is judged on."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from toolkit.errors import UsageError
from toolkit.export.arrays import read_arrays
from toolkit.export.check import check_parity
from toolkit.export.labelled import write_labelled
from toolkit.export.onnx_export import export_onnx
from toolkit.export.onnxruntime import run_onnx
from toolkit.export.parity import top1
from toolkit.export.sample_files import has_pictures, read_labels, read_pictures
from toolkit.export.spec import HELD_OUT_FILE, HELD_OUT_REFERENCE_FILE, SAMPLES_FILE, ExportSpec, WorkerRequest
from toolkit.models.source import source_from_path
from toolkit.tensor import tensor_from_text

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
    assert not write_labelled(tmp_path, tmp_path / "data.npz", {"label": X}, dict, read_arrays)
    assert not write_labelled(tmp_path, None, {"x": X}, dict, read_arrays)
    np.savez(tmp_path / "plain.npz", x=X)
    assert not write_labelled(tmp_path, tmp_path / "plain.npz", {"x": X}, dict, read_arrays)
    assert not (tmp_path / HELD_OUT_FILE).exists() and not (tmp_path / HELD_OUT_REFERENCE_FILE).exists()


@pytest.mark.parametrize("labels", [np.zeros(89), np.zeros((90, 2))])
def test_labels_that_do_not_fit_are_refused(tmp_path, labels):
    np.savez(tmp_path / "data.npz", x=X, label=labels)
    with pytest.raises(UsageError, match="'label' has shape"):
        write_labelled(tmp_path, tmp_path / "data.npz", {"x": X}, dict, read_arrays)


def exported(path, folder, **spec):
    """The export of an ONNX file in this process, and its parity with the task metric."""
    spec = ExportSpec(**spec)
    folder.mkdir()
    export_onnx(WorkerRequest(action="export", source=source_from_path(str(path)), spec=spec), folder, lambda _: None)
    return check_parity(folder, spec, task=top1)


def test_a_column_of_labels_is_no_feature(make_onnx, tmp_path):
    path = make_onnx()
    labels = run_onnx(path, {"x": X})["y"].argmax(1)
    rows = [",".join(map(str, [*row, label])) for row, label in zip(X.tolist(), labels, strict=True)]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,c,d,label", *rows]))
    result = exported(path, tmp_path / "out", samples=tmp_path / "data.csv", sample_count=8)
    assert result.passed and result.task and (result.task.samples, result.task.reference) == (90, 1.0)


def test_labels_as_texts_need_a_model_that_answers_texts(make_onnx, tmp_path):
    rows = ["1,2,3,4,cat", "4,3,2,1,dog"]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,c,d,label", *rows]))
    with pytest.raises(UsageError, match=r"the labels are texts \('cat'\), and the model answers float32"):
        exported(make_onnx(), tmp_path / "out", samples=tmp_path / "data.csv")


def write_pictures(folder, names):
    """Pictures of one colour each: the class is the channel that is full."""
    for number, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        colour = tuple(255 if channel == number % 3 else 10 * number for channel in range(3))
        Image.new("RGB", (5, 3), colour).save(file)


def test_the_names_of_folders_are_the_labels_of_pictures(tmp_path):
    names = ["blue/9.png", "green/1.png", "red/1.png", "blue/8.jpg", "green/2.bmp", "red/2.png", "red/notes.txt"]
    write_pictures(tmp_path / "pictures", names[:-1])
    (tmp_path / "pictures" / names[-1]).touch()
    (picture,) = read_pictures(tmp_path / "pictures", (tensor_from_text("image:float32:batch,3,3,5"),)).values()
    assert picture.shape == (6, 3, 3, 5) and picture.dtype == np.float32 and picture.max() == 1
    assert read_labels(tmp_path / "pictures").tolist() == [0, 1, 2, 0, 1, 2]
    write_pictures(tmp_path / "numbered", ["7/a.png", "10/a.png"])
    assert read_labels(tmp_path / "numbered").tolist() == [10, 7]
    write_pictures(tmp_path / "flat", ["a.png", "b.png"])
    assert read_labels(tmp_path / "flat") is None and has_pictures(tmp_path / "flat")


def test_a_folder_of_pictures_by_class_is_exported_and_judged(tmp_path):
    """The graph answers the mean of each channel, so the class is the fullest one."""
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["image"], ["pooled"]), helper.make_node("Flatten", ["pooled"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "height", "width"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )
    path = tmp_path / "mean.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    write_pictures(tmp_path / "pictures", ["0/a.png", "1/a.png", "2/a.png", "0/b.png", "1/b.png"])
    write_pictures(tmp_path / "wrong", ["2/c.png"])
    (tmp_path / "wrong" / "2" / "c.png").rename(tmp_path / "pictures" / "2" / "c.png")
    inputs = (tensor_from_text("image:float32:batch,3,12,8"),)
    result = exported(path, tmp_path / "out", samples=tmp_path / "pictures", inputs=inputs)
    assert result.passed and result.task and result.task.samples == 6
    assert result.task.reference == pytest.approx(5 / 6) and result.task.disagreements == 0
    assert read_arrays(tmp_path / "out" / SAMPLES_FILE)["image"].shape == (6, 3, 12, 8)


def test_pictures_of_several_sizes_need_one(tmp_path):
    write_pictures(tmp_path / "pictures", ["a.png"])
    Image.new("L", (7, 7)).save(tmp_path / "pictures" / "b.png")
    with pytest.raises(UsageError, match="several sizes") as caught:
        read_pictures(tmp_path / "pictures", (tensor_from_text("image:float32:batch,3,height,width"),))
    assert "as numbers" in caught.value.mend
    (tmp_path / "pictures" / "c.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"c\.png is no picture"):
        read_pictures(tmp_path / "pictures", (tensor_from_text("image:float32:batch,1,4,4"),))
