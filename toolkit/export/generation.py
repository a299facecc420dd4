"""What the original says: greedy continuations of prompts, and how likely it finds a text. Runs in the worker.

In: a loaded Hugging Face model and its tokenizer. Out: arrays that the parity of the export, and later that of the
server, are judged by. Everything is computed one row at a time, with the model's own cache.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.errors import ExportFailed, UsageError

Array = np.ndarray[Any, Any]

#: Tokens of each continuation; fewer where the context ends before.
STEPS = 32
#: Rows and tokens of the text whose perplexity is taken.
TEXT_ROWS, TEXT_TOKENS = 4, 128
#: Above this many parameters a reference on a CPU takes minutes, so that it is half as long.
LARGE = 500_000_000
_WORDS = (3, 24)


def prompts_for(path: Path | None, count: int) -> tuple[str, ...]:
    """At most `count` prompts: lines of a .txt, a .json list, else openings of Python's own manual.

    Raises UsageError for a file that holds none.
    """
    if path is None:
        return tuple(itertools.islice(_manual_prompts(), count))
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else text.splitlines()
    except (OSError, ValueError) as err:
        raise UsageError(f"--samples {path} cannot be read as text: {err}", mend="one prompt a line, in UTF-8") from err
    prompts = [p for p in found if isinstance(p, str) and p.strip()] if isinstance(found, list) else []
    if not prompts:
        raise UsageError(f"--samples {path} holds no prompts", mend="one a line, or a .json list of texts")
    return tuple(prompts[:count])


def manual_text() -> str:
    """The text of Python's manual as it ships with the standard library: English that is on every machine."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


def _manual_prompts() -> Iterator[str]:
    """Openings of paragraphs, of 3 to 24 words, each of another length than its neighbours."""
    paragraphs = [p.split() for p in manual_text().split("\n\n") if p[:1].isalpha()]
    long_enough = [words for words in paragraphs if len(words) > _WORDS[1]]
    lengths = itertools.cycle(range(_WORDS[0], _WORDS[1], 5))
    for words, length in zip(long_enough[::7], lengths, strict=False):
        yield " ".join(words[:length])


def make_reference(model: Any, tokenizer: Any, prompts: tuple[str, ...], context: int) -> dict[str, Array]:
    """The arrays of reference.npz.

    prompt_ids int32 [n, P] padded with -1; prompt_lengths int32 [n]; tokens int32 [n, T], the greedy continuation,
    end tokens ignored; margins float32 [n, T], the best logit less the second; token_logits float32 [n, T], the best
    one; logits float32 [n, vocabulary] of the first step; text_ids int32 [m, L], text_log_probability float32
    [m, L-1] and text_best int32 [m, L-1]: of each token of a text after those before it, and the likeliest one.
    """
    encoded = [tokenizer.encode(prompt).ids for prompt in prompts]
    longest = max(map(len, encoded))
    steps = min(STEPS // (2 if model.num_parameters() > LARGE else 1), context - longest)
    empty = [prompt for prompt, ids in zip(prompts, encoded, strict=True) if not ids]
    if steps < 1 or empty:
        reason = f"prompt {empty[0]!r} has no tokens" if empty else f"the longest prompt has {longest} tokens"
        raise ExportFailed(f"{reason}; the model's context holds {context}", mend="give shorter ones: --samples FILE")
    rows = [_continuation(model, ids, steps) for ids in encoded]
    ids = np.full((len(encoded), longest), -1, np.int32)
    for row, tokens in zip(ids, encoded, strict=True):
        row[: len(tokens)] = tokens
    return {
        "prompt_ids": ids,
        "prompt_lengths": np.array([len(tokens) for tokens in encoded], np.int32),
        **{name: np.stack([row[name] for row in rows]) for name in rows[0]},
        **_text_reference(model, _text_ids(tokenizer, prompts, context)),
    }


def _continuation(model: Any, prompt: list[int], steps: int) -> dict[str, Array]:
    """Tokens, margins and logits of one greedy continuation."""
    given, cache, found, first = torch.tensor([prompt]), None, [], None
    with torch.no_grad():
        for _ in range(steps):
            output = model(given, past_key_values=cache, use_cache=True)
            logits, cache = output.logits[0, -1], output.past_key_values
            first = logits.numpy() if first is None else first
            (best, second), (token, _) = (part.tolist() for part in torch.topk(logits, 2))
            found.append((token, best - second, best))
            given = torch.tensor([[token]])
    tokens, margins, best_logits = zip(*found, strict=True)
    assert first is not None
    return {
        "tokens": np.array(tokens, np.int32),
        "margins": np.array(margins, np.float32),
        "token_logits": np.array(best_logits, np.float32),
        "logits": first.astype(np.float32),
    }


def _text_ids(tokenizer: Any, prompts: tuple[str, ...], context: int) -> Array:
    """Rows of running text: that of the prompts where there is enough of it, else of the manual."""
    length = min(TEXT_TOKENS, context)
    ids = tokenizer.encode("\n".join(prompts), add_special_tokens=False).ids
    if len(ids) < TEXT_ROWS * length:
        ids = tokenizer.encode(manual_text()[:40_000], add_special_tokens=False).ids
    rows = min(TEXT_ROWS, max(1, len(ids) // length))
    return np.array(ids[: rows * length], np.int32).reshape(rows, -1)


def _text_reference(model: Any, ids: Array) -> dict[str, Array]:
    likely, best = [], []
    with torch.no_grad():
        for row in torch.from_numpy(ids.astype(np.int64)):
            logits = model(row[None]).logits[0, :-1]
            likely.append(torch.log_softmax(logits, -1).gather(1, row[1:, None])[:, 0].numpy())
            best.append(logits.argmax(-1).numpy())
    return {
        "text_ids": ids,
        "text_log_probability": np.stack(likely).astype(np.float32),
        "text_best": np.stack(best).astype(np.int32),
    }
