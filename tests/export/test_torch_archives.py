"""`.pt2` and TorchScript files from end to end: refused without trust, exported and equal with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from toolkit.errors import ModelRefused
from toolkit.export.export import export
from toolkit.export.inspect import inspect_model
from toolkit.export.parity import ParityResult
from toolkit.export.spec import ExportSpec
from toolkit.models.source import is_confined, source_from_path
from toolkit.records import read_json
from toolkit.tensor import tensor_from_text


class Text(torch.nn.Module):
    """Embeddings of any length, and their mean through a layer; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.dense = torch.nn.Embedding(30, 8), torch.nn.Linear(8, 3)

    def forward(self, tokens: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = self.embedding(tokens).mean(1) * scale
        return self.dense(mean), mean


ROWS = torch.randint(0, 30, (2, 6)), torch.ones(2, 1)
INPUTS = tuple(tensor_from_text(t) for t in ("tokens:int64:batch,length:0..29", "scale:float32:batch,1"))


def exported_program(path: Path) -> Path:
    torch.manual_seed(0)
    batch = torch.export.Dim("batch")
    free = {"tokens": {0: batch, 1: torch.export.Dim("length", min=2)}, "scale": {0: batch}}
    torch.export.save(torch.export.export(Text().eval(), ROWS, dynamic_shapes=free), path)
    return path


def script(path: Path) -> Path:
    torch.manual_seed(0)
    torch.jit.save(torch.jit.script(Text().eval()), path)
    return path


@pytest.mark.parametrize(("make", "name"), [(exported_program, "model.pt2"), (script, "model.pt")])
def test_an_archive_is_exported_with_trust_alone(tmp_path, make, name):
    path = make(tmp_path / name)
    with pytest.raises(ModelRefused, match=r"opening it (can run any code|runs the program)") as caught:
        source_from_path(str(path))
    assert "--trust" in caught.value.mend
    source = source_from_path(str(path), trust=True)
    assert is_confined(source)
    artifact = export(source, ExportSpec(inputs=INPUTS, sample_count=9), tmp_path / "out", name="net")
    parity = read_json(tmp_path / "out" / "parity.json", ParityResult)
    assert artifact.parity == "passed", parity.reason
    assert [t.shape for t in artifact.signature.inputs] == [("batch", "length"), ("batch", 1)]
    assert artifact.signature.is_batchable and parity.noise
    assert any(note.startswith("at length 32") for note in parity.notes)


def test_what_an_exported_program_declares_is_known(tmp_path):
    found = inspect_model(source_from_path(str(exported_program(tmp_path / "model.pt2")), trust=True))
    assert found.signature and [t.name for t in found.signature.inputs] == ["tokens", "scale"]
    assert found.signature.inputs[0].shape[0] == "batch" and found.parameters == 30 * 8 + 8 * 3 + 3
    assert "can run any code" in found.unsafe[0]


def test_an_exported_program_of_one_batch_size_stays_so(tmp_path):
    torch.export.save(torch.export.export(Text().eval(), ROWS), tmp_path / "model.pt2")
    with pytest.raises(ModelRefused, match="it was exported for one batch size: 'tokens' is") as caught:
        export(source_from_path(str(tmp_path / "model.pt2"), trust=True), ExportSpec(), tmp_path / "out", name="net")
    assert "torch.export.Dim('batch')" in caught.value.mend
