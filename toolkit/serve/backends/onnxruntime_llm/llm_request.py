"""What a client asks for: input tensors and JSON parameters become a GenerationRequest, or a Refused that says why.

Names, types and defaults are those of Triton's vLLM backend and of vLLM's SamplingParams, so that one client works
against both. Knows nothing of Triton: tensors come as numpy arrays by name.
Source: triton-inference-server/vllm_backend, src/utils/request.py; vllm, sampling_params.py.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields

MAX_STOPS = 16


class Refused(Exception):
    """A request that is not served. `code` is the name of a pb_utils.TritonError code."""

    def __init__(self, message, code="INVALID_ARG"):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen and when to end. Temperature 0 is greedy; top_k 0 and -1 are off; no seed is any seed."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    max_tokens: int = 16
    min_tokens: int = 0
    stop: tuple = ()
    ignore_eos: bool = False
    include_stop_str_in_output: bool = False


@dataclass(frozen=True)
class GenerationRequest:
    """One request: the prompt's text, what is to be returned, and how tokens are chosen."""

    text: str
    sampling: Sampling
    stream: bool = False
    exclude_input_in_output: bool = True
    return_finish_reason: bool = False
    return_num_input_tokens: bool = False
    return_num_output_tokens: bool = False
    return_token_ids: bool = False


FLAGS = tuple(f.name for f in fields(GenerationRequest) if f.type == "bool")


def generation_request(tensors, parameters):
    """The request of input tensors by name; `parameters` is the JSON of the request's own, read in their absence."""
    flags = {name: bool(tensors[name].ravel()[0]) for name in FLAGS if name in tensors}
    if flags.get("stream") and not flags.get("exclude_input_in_output", True):
        raise Refused("exclude_input_in_output is false with stream true; a stream holds no prompt")
    text = decoded(tensors["text_input"], "text_input")
    given = decoded(tensors["sampling_parameters"], "sampling_parameters") if "sampling_parameters" in tensors else ""
    return GenerationRequest(text=text, sampling=sampling_from_json(given or parameters), **flags)


def decoded(tensor, name):
    """The one text of a BYTES tensor."""
    value = tensor.ravel()[0]
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError as err:
        raise Refused(f"{name} is not valid UTF-8: {err.reason} at byte {err.start}") from None


def sampling_from_json(text):
    """Sampling parameters from a JSON object; empty text gives the defaults. Triton's own `triton_*` are left out."""
    try:
        given = json.loads(text) if text else {}
    except ValueError as err:
        raise Refused(f"sampling_parameters is not JSON: {err}") from None
    if not isinstance(given, dict):
        raise Refused(f"sampling_parameters is {type(given).__name__}; expected a JSON object")
    given = {name: value for name, value in given.items() if not name.startswith("triton_")}
    for name in given:
        if name not in CHECKS:
            raise Refused(f"sampling_parameters: '{name}' is unknown; known: {', '.join(CHECKS)}")
    return Sampling(**{name: CHECKS[name](name, value) for name, value in given.items() if value is not None})


def whole(low, high=math.inf):
    """A check for an integer of a range; what JSON clients send as text is taken too."""

    def check(name, value):
        number = numeric(name, value, int)
        if not low <= number <= high:
            upto = "" if high == math.inf else f" to {high}"
            raise Refused(f"sampling_parameters: {name} is {value}; expected an integer from {low}{upto}")
        return number

    return check


def real(low, high, *, open_low=False):
    """A check for a finite number of a range, whose lower end may be left out."""

    def check(name, value):
        number = numeric(name, value, float)
        if not (low < number or (number == low and not open_low)) or not number <= high or math.isinf(number):
            bounds = f"{'above' if open_low else 'from'} {low:g}" + ("" if high == math.inf else f" to {high:g}")
            raise Refused(f"sampling_parameters: {name} is {value}; expected a number {bounds}")
        return number

    return check


def numeric(name, value, kind):
    """A JSON number, or a text of one, as int or float; a fraction is no integer and true is no number."""
    try:
        number = math.nan if isinstance(value, bool) else kind(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number) or (kind is int and isinstance(value, float) and value != number):
        what = "an integer" if kind is int else "a number"
        raise Refused(f"sampling_parameters: {name} is {value!r}; expected {what}")
    return number


def truth(name, value):
    """A JSON boolean, or a text of one."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise Refused(f"sampling_parameters: {name} is {value!r}; expected true or false")
    return value


def stops(name, value):
    """A stop string, or a list of them."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(text, str) and text for text in found):
        raise Refused(
            f"sampling_parameters: {name} is {value!r}; expected a text, or a list of texts that are not empty"
        )
    if len(found) > MAX_STOPS:
        raise Refused(f"sampling_parameters: {name} has {len(found)} texts; at most {MAX_STOPS}")
    return tuple(found)


CHECKS = {
    "temperature": real(0, 100),
    "top_k": whole(-1),
    "top_p": real(0, 1, open_low=True),
    "seed": whole(-(2**63), 2**64 - 1),
    "max_tokens": whole(1),
    "min_tokens": whole(0),
    "stop": stops,
    "ignore_eos": truth,
    "include_stop_str_in_output": truth,
}
