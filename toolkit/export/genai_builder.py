"""onnxruntime-genai's model builder: ONNX with fused attention over a cache that is updated in place.

In: a Hugging Face folder of a known architecture. Out: model.onnx and model.onnx.data in the artifact's folder.
Only the export worker calls this: the builder prints, writes files of its own and has a telemetry switch.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.errors import ExportFailed
from toolkit.export.spec import MODEL_FILE
from toolkit.extras import require
from toolkit.models.onnx import opset_of, read_onnx, signature_from_onnx
from toolkit.records import writing

#: Text decoders of the pinned version's builder whose whole state is a key/value cache. Other names crash inside it,
#: or keep a state (convolutions, linear attention) that the server has no slots for.
KNOWN = frozenset(
    {
        "Ernie4_5ForCausalLM",
        "Gemma2ForCausalLM",
        "Gemma3ForCausalLM",
        "GemmaForCausalLM",
        "GraniteForCausalLM",
        "HunYuanDenseV1ForCausalLM",
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "NemotronForCausalLM",
        "OlmoForCausalLM",
        "Phi3ForCausalLM",
        "PhiForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
        "SmolLM3ForCausalLM",
    }
)
#: What the builder of this version writes; another one is another builder.
OPSET = 22
#: The head over the vocabulary is computed for the last token only: prefill needs no other.
OPTIONS = ["prune_lm_head=true"]
_INPUTS = {"input_ids", "attention_mask", "position_ids"}


def is_known(architecture: str) -> bool:
    """Whether the builder takes an architecture."""
    return architecture in KNOWN


def build(source: Path, folder: Path, precision: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Write the model; returns the cache's part of a LanguageModel. Raises ExportFailed and MissingDependency."""
    require("onnxruntime_genai").disable_telemetry_events()
    require("onnx_ir")
    from onnxruntime_genai.models import builder

    with tempfile.TemporaryDirectory(prefix=".builder-", dir=folder) as work:
        # The builder's two functions are its command line taken apart; they take the same texts.
        names = (None, str(source), work, precision, "cpu", str(Path(work, "cache")))
        try:
            builder.create_model(*names, **builder.parse_extra_options(*names, OPTIONS))
        except Exception as err:
            reason = (str(err).strip().splitlines() or [type(err).__name__])[0]
            raise ExportFailed(
                f"{source}: onnxruntime-genai's builder failed: {type(err).__name__}: {reason}", mend="read export.log"
            ) from err
        said = json.loads(Path(work, "genai_config.json").read_text(encoding="utf-8"))["model"]["decoder"]
        for name in (MODEL_FILE, f"{MODEL_FILE}.data"):
            with writing(folder / name):
                shutil.move(Path(work, name), folder / name)
    say("checking the graph")
    _check(folder / MODEL_FILE)
    return {
        "layers": said["num_hidden_layers"],
        "kv_heads": said["num_key_value_heads"],
        "head_size": said["head_size"],
        "cache": "in_place",
        "cache_dtype": "float32",
    }


def _check(path: Path) -> None:
    written = opset_of(read_onnx(path))
    if written != OPSET:
        raise ExportFailed(f"{path} has opset {written}, and this version's builder writes {OPSET}")
    for tensor in signature_from_onnx(path).inputs:
        if tensor.name not in _INPUTS and not tensor.name.startswith("past_key_values."):
            raise ExportFailed(f"{path}: '{tensor.name}' is a state that is no key/value cache; it cannot be served")
        if tensor.name.startswith("past_key_values.") and tensor.dtype != "FP32":
            raise ExportFailed(f"{path}: '{tensor.name}' is {tensor.dtype}, expected FP32")
