"""Text generation over Triton's generate extension: what a request says, and what the events of its answer say. Pure.

In: a prompt and how to sample. Out: the JSON of a request in the words of the entry that is served, and Pieces of text
from the JSON of its events. Two dialects are spoken, told apart by the entry's inputs: that of Triton's vLLM backend,
which ours shares (`stream`, `sampling_parameters`), and that of TensorRT-LLM's LLM API (`streaming`,
`sampling_param_*`). The latter was not run here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.errors import ServerTrouble, UsageError

#: The input that makes an entry one that generates text.
PROMPT = "text_input"
#: The words of TensorRT-LLM's LLM API for what `Sampling` has; it knows no others.
LLM_API = ("max_tokens", "temperature", "top_k", "top_p", "seed", "stop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next tokens are chosen. `temperature` 0 is greedy; None leaves a choice to the server."""

    max_tokens: int = 16
    temperature: float | None = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    min_tokens: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        """Refuse what no server can do. Raises UsageError."""
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens is {self.max_tokens}; expected 1 or more")
        if self.temperature is not None and self.temperature < 0:
            raise UsageError(f"temperature is {self.temperature:g}; expected 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One response: the text that it adds and the tokens it stands for, as far as the server says.

    `finish_reason` is empty until the last one, then "stop" or "length".
    """

    text: str
    token_ids: tuple[int, ...] = ()
    finish_reason: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None


def generates_text(config: Mapping[str, Any]) -> bool:
    """Whether a ModelConfig (or the metadata) is of an entry that takes a prompt and may answer in a stream."""
    inputs = config.get("input") or config.get("inputs") or ()
    return any(tensor.get("name") == PROMPT for tensor in inputs)


def input_names(config: Mapping[str, Any]) -> frozenset[str]:
    """The names of an entry's inputs, from its ModelConfig or its metadata."""
    return frozenset(tensor["name"] for tensor in config.get("input") or config.get("inputs") or ())


def generation_request(
    prompt: str, sampling: Sampling, inputs: Collection[str], *, stream: bool = True, details: bool = False
) -> dict[str, Any]:
    """The JSON of one request to an entry with these `inputs`.

    details: ask for token ids, counts and the reason of the end as well, those of them that the entry can tell.
    Raises UsageError for a way of sampling that the entry has no word for.
    """
    wanted = {name: True for name in _DETAILS if details and name in inputs}
    if "streaming" in inputs:
        return {PROMPT: prompt, "streaming": stream} | _llm_api(sampling) | wanted
    request = {PROMPT: prompt, "stream": stream, "sampling_parameters": json.dumps(_chosen(sampling))}
    return request | ({"exclude_input_in_output": True} if "exclude_input_in_output" in inputs else {}) | wanted


_DETAILS = ("return_finish_reason", "return_num_input_tokens", "return_num_output_tokens", "return_token_ids")


def _chosen(sampling: Sampling) -> dict[str, Any]:
    """What was chosen, without what is left to the server."""
    values = {name: getattr(sampling, name) for name in Sampling.__dataclass_fields__}
    return {name: v for name, v in values.items() if not (v is None or v is False or v == ())}


def _llm_api(sampling: Sampling) -> dict[str, Any]:
    chosen = _chosen(sampling)
    # An end of text cannot be ignored there: answers may be shorter than they were asked to be.
    unknown = [name for name in chosen if name not in (*LLM_API, "ignore_eos")]
    if unknown:
        raise UsageError(f"TensorRT-LLM's entry has no input for {', '.join(unknown)}", mend="leave it out")
    said = {f"sampling_param_{name}": chosen[name] for name in LLM_API if name in chosen}
    return said | {"sampling_param_exclude_input_from_output": True}


def piece_from_event(data: bytes | str) -> Piece:
    """The response that the data of one event is. Raises ServerTrouble with the server's words for an error."""
    try:
        event = json.loads(data)
        if error := event.get("error"):
            raise ServerTrouble(str(error.get("message", error) if isinstance(error, dict) else error))
        reason = str(_one(event.get("finish_reason"), ""))
        return Piece(
            text=str(_one(event.get("text_output"), "")),
            token_ids=tuple(int(token) for token in _all(event.get("token_ids"))),
            finish_reason="" if reason in ("None", "none") else reason,
            input_tokens=_one(event.get("num_input_tokens"), None),
            output_tokens=_one(event.get("num_output_tokens"), None),
        )
    except (ValueError, AttributeError, TypeError) as err:
        raise ServerTrouble(f"an event of the stream is no response of Triton's: {data[:80]!r}") from err


def _all(value: Any) -> list[Any]:
    """The elements of a tensor, which Triton writes as a list, or as itself where there is one."""
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _one(value: Any, default: Any) -> Any:
    return next(iter(_all(value)), default)
