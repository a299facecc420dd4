"""A Hugging Face folder as data: what its config says it is, whether its weights are whole, whether its tokenizer fits.

In: a folder. Out: facts about it, or ModelRefused with the reason and the mend. Nothing is executed or unpickled:
`trust_remote_code` is never set, and of the weights only the headers of safetensors files are read.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from toolkit.errors import ModelRefused
from toolkit.extras import require

CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

#: A task by our name -> transformers' mapping from model type to architecture. An architecture is in several of them:
#: the first counts, and the bare models come last.
MAPPING_OF_TASK = {
    "causal-lm": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "image-classification": "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES",
    "object-detection": "MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES",
    "text-classification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "token-classification": "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES",
    "question-answering": "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES",
    "speech-encoder": "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES",
    "feature-extraction": "MODEL_MAPPING_NAMES",
}

#: A tokenizer may know fewer tokens than the model has rows for (rows are padded), but not fewer than this share.
LEAST_KNOWN_SHARE = 0.5


def is_huggingface(path: Path) -> bool:
    """Whether a path is a folder with a config.json."""
    return path.is_dir() and (path / CONFIG_FILE).is_file()


def task_of(folder: Path) -> str:
    """The task of the architecture that config.json names. Raises ModelRefused for one that is not supported."""
    architecture = _architecture(folder, read_config(folder))
    auto = require("transformers.models.auto.modeling_auto")
    for task, mapping in MAPPING_OF_TASK.items():
        if architecture in _names(getattr(auto, mapping).values()):
            return task
    raise ModelRefused(
        f"{folder / CONFIG_FILE}: the architecture '{architecture}' is none of those that transformers"
        f" {require('transformers').__version__} has for {', '.join(MAPPING_OF_TASK)}",
        mend="code that travels with the weights (trust_remote_code) is never run;"
        " save the model as an architecture of transformers itself, or export it to ONNX elsewhere",
    )


def check_folder(folder: Path, task: str) -> None:
    """Check that the weights are whole and safe, and for language models that the tokenizer fits them.

    Raises ModelRefused.
    """
    check_weights(folder)
    if task == "causal-lm":
        check_tokenizer(folder)


def source_files(folder: Path) -> tuple[str, ...]:
    """What a folder's digest covers: every file of a kind that transformers reads, without code and pickles."""
    kinds = {".json", ".safetensors", ".txt", ".model", ".jinja"}
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_file() and path.suffix in kinds))


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json. Raises ModelRefused when it is not a JSON object."""
    config = _json(folder / CONFIG_FILE)
    if not isinstance(config, dict):
        raise ModelRefused(f"{folder / CONFIG_FILE} holds no JSON object", mend="copy the file again")
    return config


def check_weights(folder: Path) -> None:
    """Check that safetensors files are there and as long as their headers say. Raises ModelRefused."""
    for name in _weight_files(folder):
        _check_safetensors(folder / name)


def check_tokenizer(folder: Path) -> None:
    """Check that tokenizer.json is there and that its ids are rows of the model. Raises ModelRefused."""
    file = folder / TOKENIZER_FILE
    if not file.is_file():
        others = [n for n in ("tokenizer.model", "vocab.json", "vocab.txt") if (folder / n).is_file()]
        has = f"only {others[0]}, which a server cannot read as it is" if others else "no tokenizer at all"
        raise ModelRefused(
            f"{folder} has no {TOKENIZER_FILE}: it has {has}",
            mend="transformers writes one: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"
            if others
            else "copy the tokenizer's files beside the weights",
        )
    rows, highest, known = vocabulary_size(read_config(folder)), *_token_ids(file)
    if rows is None or (known * 1.0 >= LEAST_KNOWN_SHARE * rows and highest < rows):
        return
    how = f"ids up to {highest}" if highest >= rows else f"{known} tokens only"
    raise ModelRefused(
        f"{file} does not match the model: it has {how}, and config.json says vocab_size {rows}",
        mend="copy the tokenizer that the model was trained with beside its weights",
    )


def vocabulary_size(config: dict[str, Any]) -> int | None:
    """How many rows the model has for tokens; None where the config leaves it to the architecture's default."""
    text = config.get("text_config")
    size = config.get("vocab_size", text.get("vocab_size") if isinstance(text, dict) else None)
    return int(size) if isinstance(size, int) else None


def _architecture(folder: Path, config: dict[str, Any]) -> str:
    named = config.get("architectures")
    if isinstance(named, list) and named and isinstance(named[0], str):
        return named[0]
    raise ModelRefused(
        f"{folder / CONFIG_FILE} names no architecture, so it is not known what the model does",
        mend='add "architectures": ["..."], or save the model again with save_pretrained()',
    )


def _names(values: Any) -> set[str]:
    """The architectures of a mapping, whose values are names or tuples of names."""
    return {name for value in values for name in ((value,) if isinstance(value, str) else value)}


def _weight_files(folder: Path) -> tuple[str, ...]:
    if (folder / INDEX_FILE).is_file():
        index = _json(folder / INDEX_FILE)
        shards = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(shards, dict) or not shards or not all(map(_is_plain_name, shards.values())):
            raise ModelRefused(f"{folder / INDEX_FILE} has no weight_map of file names", mend="copy the file again")
        return tuple(sorted(set(shards.values())))
    if (folder / WEIGHTS_FILE).is_file():
        return (WEIGHTS_FILE,)
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth"))
    if pickles:
        raise ModelRefused(
            f"{folder} has its weights in {pickles[0]} only: that is a pickle, and opening it can run any code",
            mend="convert it where you trust it: AutoModel.from_pretrained(DIR).save_pretrained(NEW_DIR)"
            " writes model.safetensors",
        )
    raise ModelRefused(f"{folder} has no weights: there is no {WEIGHTS_FILE}", mend="copy the whole folder")


def _is_plain_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and Path(value).name == value


def _check_safetensors(path: Path) -> None:
    """Compare a file's length with what its header says (8 bytes of length, JSON, then the tensors)."""
    if not path.is_file():
        raise ModelRefused(f"{path} is missing, and the index names it", mend="copy the whole folder")
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else size
        text = file.read(length) if length <= size - 8 else b""
    try:
        header = json.loads(text)
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        end = max((int(entry["data_offsets"][1]) for entry in tensors), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as err:
        raise ModelRefused(
            f"{path} is truncated, damaged or not safetensors: its header does not parse", mend="copy the file again"
        ) from err
    if not tensors or size != 8 + length + end:
        raise ModelRefused(
            f"{path} has {size} bytes, its header describes {8 + length + end}", mend="copy the file again"
        )


def _token_ids(file: Path) -> tuple[int, int]:
    """The highest id of a tokenizer.json, and how many there are."""
    try:
        data = _json(file)
        vocabulary = data["model"]["vocab"]
        ids = set(vocabulary.values()) if isinstance(vocabulary, dict) else set(range(len(vocabulary)))
        ids |= {int(token["id"]) for token in data.get("added_tokens") or ()}
        return max(ids), len(ids)
    except (KeyError, TypeError, ValueError) as err:
        raise ModelRefused(f"{file} has no vocabulary that can be read", mend="copy the file again") from err


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ModelRefused(f"{file} cannot be read as JSON: {err}", mend="copy the file again") from err
