"""What an OpenAI client asks, as a prompt and how to sample. Pure: a JSON body in, an Ask out, or a Refusal.

What the server behind cannot do is refused with OpenAI's own error body, never ignored; values that mean "as usual" are
taken. `top_k`, `min_tokens` and `ignore_eos` are taken besides, as vLLM's server has them.
Source: platform.openai.com/docs/api-reference, completions and chat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.errors import UsageError
from toolkit.serve.generation import Sampling

#: Tokens that are generated where the client does not say: of a completion as at OpenAI; a chat has no such number.
COMPLETION_TOKENS, CHAT_TOKENS = 16, 128
#: Keys that say nothing about the answer.
IGNORED = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")
#: Keys that are taken where they mean "as usual".
AS_USUAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "suffix": ("",),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}
SHARED = ("model", "stream", "stream_options", "temperature", "top_p", "stop", "seed", "max_tokens")
OURS = ("top_k", "min_tokens", "ignore_eos")
ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request. `with_usage`: a stream ends with a chunk that holds the usage."""

    model: str
    prompt: str
    sampling: Sampling
    stream: bool
    with_usage: bool
    is_chat: bool


class Refusal(Exception):
    """A request that is not done, as OpenAI's error body says it."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    def body(self) -> dict[str, Any]:
        """The error body."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def completion_from(body: Any) -> Ask:
    """A body of /v1/completions. Raises Refusal."""
    checked = _checked(body, "prompt")
    prompt = checked.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise Refusal("prompt must be one text that is not empty; several, and token ids, are not done", param="prompt")
    return _ask(checked, prompt, COMPLETION_TOKENS, is_chat=False)


def chat_from(body: Any, template: Callable[[list[dict[str, str]]], str]) -> Ask:
    """A body of /v1/chat/completions; `template` makes a prompt of the messages. Raises Refusal."""
    checked = _checked(body, "messages", "max_completion_tokens")
    messages = checked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal("messages must be a list that is not empty", param="messages")
    said = [_message(message, f"messages[{number}]") for number, message in enumerate(messages)]
    if (longest := checked.get("max_completion_tokens")) is not None:
        checked["max_tokens"] = longest
    return _ask(checked, template(said), CHAT_TOKENS, is_chat=True)


def _message(message: Any, where: str) -> dict[str, str]:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise Refusal(f"{where}.role must be one of {', '.join(ROLES)}", param=where)
    content = message.get("content")
    if isinstance(content, list) and all(isinstance(p, dict) and p.get("type") == "text" for p in content):
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str):
        raise Refusal(f"{where}.content must be text; images, audio and tool calls are not done", param=where)
    return {"role": message["role"], "content": content}


def _checked(body: Any, *own: str) -> dict[str, Any]:
    """The body without what is None or means "as usual". Raises Refusal for what is left and not known."""
    if not isinstance(body, dict):
        raise Refusal("the body must be a JSON object")
    said = {key: value for key, value in body.items() if value is not None and key not in IGNORED}
    for key, usual in AS_USUAL.items():
        if key in said and said.pop(key) not in usual:
            raise Refusal(f"{key} is not done here", param=key, code="unsupported_parameter")
    for key in said:
        if key not in (*SHARED, *OURS, *own):
            raise Refusal(f"there is no parameter '{key}'", param=key, code="unknown_parameter")
    return said


def _ask(body: dict[str, Any], prompt: str, default_tokens: int, *, is_chat: bool) -> Ask:
    model, options = _typed(body, "model", str, ""), _typed(body, "stream_options", dict, {})
    if not model:
        raise Refusal("model is missing", param="model")
    stop = body.get("stop", [])
    stops = tuple([stop] if isinstance(stop, str) else stop) if isinstance(stop, str | list) else (None,)
    if not all(isinstance(text, str) and text for text in stops):
        raise Refusal("stop must be a text or a list of texts", param="stop")
    try:
        sampling = Sampling(
            max_tokens=_typed(body, "max_tokens", int, default_tokens),
            temperature=_typed(body, "temperature", float, 1.0),
            top_p=_typed(body, "top_p", float, None),
            top_k=_typed(body, "top_k", int, None),
            seed=_typed(body, "seed", int, None),
            min_tokens=_typed(body, "min_tokens", int, None),
            ignore_eos=_typed(body, "ignore_eos", bool, False),
            stop=stops,
        )
    except UsageError as err:
        raise Refusal(err.message, param=err.message.partition(" ")[0]) from err
    stream = _typed(body, "stream", bool, False)
    with_usage = bool(options.get("include_usage"))
    return Ask(model=model, prompt=prompt, sampling=sampling, stream=stream, with_usage=with_usage, is_chat=is_chat)


def _typed(body: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    value = body.get(key, default)
    is_number = kind is float and isinstance(value, int) and not isinstance(value, bool)
    right = value is default or is_number or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool)))
    if not right:
        raise Refusal(f"{key} is {value!r}; expected {kind.__name__}", param=key)
    return float(value) if is_number else value
