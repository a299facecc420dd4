"""What an OpenAI client is told: Pieces of text in, JSON bodies and chunks out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.serve.generation import Piece
from toolkit.serve.openai.request import Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What all chunks of one answer have in common. `created` is in seconds since 1970."""

    ask: Ask
    id: str
    created: int


def answer_body(identity: Identity, pieces: Sequence[Piece]) -> dict[str, Any]:
    """A whole answer, with its usage."""
    text, reason = "".join(piece.text for piece in pieces), _reason(pieces[-1]) if pieces else "stop"
    if identity.ask.is_chat:
        said: dict[str, Any] = {"message": {"role": "assistant", "content": text, "refusal": None}}
    else:
        said = {"text": text}
    choice = {"index": 0, **said, "logprobs": None, "finish_reason": reason}
    return _head(identity, "") | {"choices": [choice], "usage": usage(pieces)}


def chunk_body(identity: Identity, piece: Piece, *, is_first: bool = False) -> dict[str, Any]:
    """One piece of a stream; the first of a chat names the role, and the last of all says why it ends."""
    if identity.ask.is_chat:
        role = {"role": "assistant"} if is_first else {}
        said: dict[str, Any] = {"delta": role | {"content": piece.text}}
    else:
        said = {"text": piece.text}
    choice = {"index": 0, **said, "logprobs": None, "finish_reason": _reason(piece) or None}
    return _head(identity, ".chunk") | {"choices": [choice]} | ({"usage": None} if identity.ask.with_usage else {})


def usage_chunk(identity: Identity, pieces: Sequence[Piece]) -> dict[str, Any]:
    """The last chunk of a stream that was to end with its usage."""
    return _head(identity, ".chunk") | {"choices": [], "usage": usage(pieces)}


def usage(pieces: Sequence[Piece]) -> dict[str, int]:
    """The tokens of prompt and answer as the server counts them; a piece is one where it does not."""
    prompt = next((piece.input_tokens for piece in pieces if piece.input_tokens is not None), 0)
    completion = sum(1 if piece.output_tokens is None else piece.output_tokens for piece in pieces)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _reason(piece: Piece) -> str:
    return {"stop": "stop", "length": "length", "": ""}.get(piece.finish_reason, "stop")


def _head(identity: Identity, chunk: str) -> dict[str, Any]:
    # Completions are called "text_completion" in a stream too.
    kind = f"chat.completion{chunk}" if identity.ask.is_chat else "text_completion"
    return {"id": identity.id, "object": kind, "created": identity.created, "model": identity.ask.model}
