"""What the worker does for a causal language model: reference from Hugging Face, then ONNX with a key/value cache.

In: a request whose source is a checked Hugging Face folder. Out, in the request's folder: model.onnx and its data,
language_model.json, the tokenizer's files, prompts.json and reference.npz. Which of the two exporters wrote the
graph is decided here, by the architecture; everything after it reads language_model.json.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from toolkit.errors import ExportFailed, ModelRefused
from toolkit.export.arrays import write_arrays
from toolkit.export.causal_lm_onnx import export_appended
from toolkit.export.genai_builder import build, is_known
from toolkit.export.generation import make_reference, prompts_for
from toolkit.export.spec import PROMPTS_FILE, REFERENCE_FILE, WorkerRequest
from toolkit.models.huggingface import TOKENIZER_FILE
from toolkit.models.language_model import LANGUAGE_MODEL_COMPANIONS, LANGUAGE_MODEL_FILE, LanguageModel
from toolkit.records import write_json, write_text, writing
from toolkit.tensor import TensorSpec

#: Below this many parameters one thread is the fastest at batch 1: threads wait for each other at every small product.
ONE_THREAD = 100_000_000
#: Prompts of the reference. A small model continues many in the seconds in which a large one continues a few.
MOST_PROMPTS, FEW_PROMPTS, SMALL = 64, 16, 10_000_000


def export_language_model(request: WorkerRequest, folder: Path, say: Callable[[str], None]) -> tuple[TensorSpec, ...]:
    """Serve one request; returns no inputs, since a language model's are fixed. Raises ModelRefused, ExportFailed."""
    source, spec = request.source.path, request.spec
    say("loading the model")
    model = load(source)
    facts = _facts(model)
    if spec.precision == "int4" and not is_known(facts["architecture"]):
        raise ExportFailed(
            f"int4 is written by onnxruntime-genai's builder, which does not know {facts['architecture']}",
            mend="export it with --precision fp32",
        )
    tokenizer = _tokenizer(source, folder)
    most = MOST_PROMPTS if facts["parameters"] < SMALL else FEW_PROMPTS
    prompts = prompts_for(spec.samples, min(spec.sample_count, most))
    _check_tokenizer(source, tokenizer, folder, prompts)
    say(f"running the original on {len(prompts)} prompts")
    if facts["parameters"] < ONE_THREAD:
        torch.set_num_threads(1)
    write_text(folder / PROMPTS_FILE, json.dumps(prompts, indent=1) + "\n")
    write_arrays(folder / REFERENCE_FILE, make_reference(model, tokenizer, prompts, facts["context_length"]))
    say("exporting to ONNX with a key/value cache")
    if is_known(facts["architecture"]):
        del model
        shape = build(source, folder, spec.precision, say)
    else:
        shape = export_appended(model, folder, spec.opset)
    write_json(folder / LANGUAGE_MODEL_FILE, LanguageModel(**facts, **shape))
    _copy_companions(source, folder)
    return ()


def inspect_language_model(request: WorkerRequest, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of a language model without exporting it. Writes nothing."""
    say("loading the model")
    model = load(request.source.path)
    facts = _facts(model)
    leaves = (module for module in model.modules() if not any(module.children()))
    writer = "onnxruntime-genai's builder" if is_known(facts["architecture"]) else "torch.export, without int4"
    return {
        "signature": None,
        "parameters": facts["parameters"],
        "size_bytes": sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers())),
        "operators": dict(Counter(type(module).__name__ for module in leaves).most_common()),
        "notes": [
            f"{facts['architecture']}: a context of {facts['context_length']} tokens, a vocabulary of"
            f" {facts['vocabulary_size']}; exported by {writer}"
        ],
    }


def load(folder: Path) -> Any:
    """The folder's model in float32 on the CPU; no code of the folder's runs. Raises ModelRefused."""
    from transformers import AutoModelForCausalLM

    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, ImportError) as err:
        reason = (str(err).strip().splitlines() or [type(err).__name__])[0]
        raise ModelRefused(f"{folder}: transformers cannot load it: {reason}", mend="read the log") from err
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelRefused(
            f"{folder}: the weights lack {len(missing)} of the architecture's tensors, '{missing[0]}' among them",
            mend="copy the whole folder; with a tensor drawn at random the model would speak nonsense",
        )
    return model.eval().requires_grad_(False)


def _facts(model: Any) -> dict[str, Any]:
    text = model.config.get_text_config()
    generation = model.generation_config.eos_token_id
    ends = text.eos_token_id if generation is None else generation
    ends = () if ends is None else (ends,) if isinstance(ends, int) else tuple(ends)
    rows = model.get_input_embeddings().weight.shape[0]
    return {
        "architecture": type(model).__name__,
        "parameters": model.num_parameters(),
        "context_length": int(getattr(text, "max_position_embeddings", 0) or 2048),
        "vocabulary_size": int(rows),
        "end_token_ids": tuple(int(token) for token in ends),
    }


def _tokenizer(source: Path, folder: Path) -> Any:
    """Copy tokenizer.json into the artifact and open it there, as the server will."""
    from tokenizers import Tokenizer

    with writing(folder / TOKENIZER_FILE):
        shutil.copyfile(source / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _check_tokenizer(source: Path, tokenizer: Any, folder: Path, prompts: tuple[str, ...]) -> None:
    """See that tokenizer.json alone gives the ids that transformers gives, and write what transformers makes of it.

    Some folders keep part of their tokenizer in code or in tokenizer_config.json (a token put before every prompt).
    """
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(source, trust_remote_code=False, local_files_only=True)
    for prompt in prompts:
        ours, expected = tokenizer.encode(prompt).ids, list(theirs(prompt)["input_ids"])
        if ours != expected:
            raise ModelRefused(
                f"{source / TOKENIZER_FILE} alone gives {ours[:5]}..., and transformers {expected[:5]}... for the same"
                " text: part of the tokenizer is elsewhere",
                mend="AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR) writes a whole tokenizer.json",
            )


def _copy_companions(source: Path, folder: Path) -> None:
    for name in LANGUAGE_MODEL_COMPANIONS:
        if name != TOKENIZER_FILE and (source / name).is_file():
            with writing(folder / name):
                shutil.copyfile(source / name, folder / name)
