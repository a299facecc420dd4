"""Small ONNX artifacts made by hand, so that these tests need no exporter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from toolkit.artifact import Artifact, write_artifact
from toolkit.records import digest_of_files
from toolkit.repository.entry import RepositoryEntry, add_artifact
from toolkit.tensor import Signature, tensor_from_text

MakeOnnx = Callable[..., None]
MakeArtifact = Callable[..., Path]


def write_onnx(
    path: Path, inp: Sequence[int | str], out: Sequence[int | str], *, code: int = TensorProto.FLOAT
) -> None:
    """A one-node model from IMAGE to SCORES with the declared shapes; it need not compute anything sensible."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["IMAGE"], ["SCORES"])],
        "tiny",
        [helper.make_tensor_value_info("IMAGE", code, inp)],
        [helper.make_tensor_value_info("SCORES", TensorProto.FLOAT, out)],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)


@pytest.fixture
def make_artifact(tmp_path: Path) -> MakeArtifact:
    def make(inp: str = "batch,1,2,2", out: str = "batch,4", *, name: str = "scorer", parity: str = "passed") -> Path:
        folder = tmp_path / "artifacts" / name
        image, scores = tensor_from_text(f"IMAGE:float32:{inp}"), tensor_from_text(f"SCORES:float32:{out}")
        write_onnx(folder / "model.onnx", image.shape, scores.shape)
        artifact = Artifact(
            name=name,
            format="onnx",
            precision="fp32",
            files=("model.onnx",),
            signature=Signature(inputs=(image,), outputs=(scores,)),
            sha256=digest_of_files(folder, ("model.onnx",)),
            built_on="a test",
            parity=parity,
        )
        write_artifact(folder, artifact)
        return folder

    return make


@pytest.fixture
def scorer(tmp_path: Path, make_artifact: MakeArtifact) -> RepositoryEntry:
    """An entry `scorer` with four labels in the repository `tmp_path / "models"`."""
    return add_artifact(tmp_path / "models", make_artifact(), labels=("a", "b", "c", "d"))
