"""Prompts as values to prompts as texts: for the tokenizer at hand, each as long as it is to be.

In: Prompts, and a folder with a tokenizer.json. Out: texts cut from English prose that ships with Python. Without a
tokenizer a word stands for a token, and whoever shows figures says so.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from toolkit.errors import ConfigurationError, UsageError
from toolkit.extras import require
from toolkit.load.workload import Prompt

TOKENIZER_FILE = "tokenizer.json"
#: A text that is cut at a token's border may be cut into other tokens again, so its length is mended so many times.
TRIES = 12


class Tokenizer(Protocol):
    """What is asked of a tokenizer. `encode` adds what a model wants at the beginning of a prompt."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, as the server counts them."""

    def corpus(self) -> list[int]:
        """The tokens of the prose, without what stands at the beginning of a prompt."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens."""


class TokenizerFile:
    """A tokenizer.json of Hugging Face's tokenizers. Raises ConfigurationError for a folder without a whole one."""

    def __init__(self, folder: Path) -> None:
        path = folder / TOKENIZER_FILE
        tokenizers = require("tokenizers")
        if not path.is_file():
            raise ConfigurationError(f"{folder} has no {TOKENIZER_FILE}", mend="name a folder that holds the model's")
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as err:
            raise ConfigurationError(f"{path} is no tokenizer: {err}") from err
        self._tokenizer.no_truncation()

    def encode(self, text: str) -> list[int]:
        """As Tokenizer."""
        return list(self._tokenizer.encode(text).ids)

    def corpus(self) -> list[int]:
        """As Tokenizer."""
        return list(self._tokenizer.encode(prose(), add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """As Tokenizer."""
        return str(self._tokenizer.decode(list(ids)))


class Words:
    """A word for a token, for a server whose tokenizer is not at hand."""

    def __init__(self) -> None:
        self._words = prose().split()
        self._ids = {word: number for number, word in enumerate(self._words)}

    def encode(self, text: str) -> list[int]:
        """As Tokenizer."""
        return [self._ids.get(word, 0) for word in text.split()]

    def corpus(self) -> list[int]:
        """As Tokenizer."""
        return list(range(len(self._words)))

    def decode(self, ids: Sequence[int]) -> str:
        """As Tokenizer."""
        return " ".join(self._words[number] for number in ids)


@cache
def prose() -> str:
    """The reference manual's topics that `help()` shows, in the order of their names."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def texts_of(prompts: Sequence[Prompt], tokenizer: Tokenizer, *, context: int | None = None) -> tuple[str, ...]:
    """The text of each prompt; parts of one key begin alike. `context` is what prompt and answer must fit into.

    Raises UsageError for a prompt that does not.
    """
    for number, prompt in enumerate(prompts, 1):
        needed = prompt.input_tokens + prompt.output_tokens
        if context is not None and needed > context:
            raise UsageError(
                f"request {number} of the workload has a prompt of {prompt.input_tokens} tokens and asks for "
                f"{prompt.output_tokens}; the context holds {context}",
                mend="shorten the workload's input and output, or raise the entry's max_length",
            )
    corpus = tokenizer.corpus()
    return tuple(_text(prompt, tokenizer, corpus) for prompt in prompts)


def _text(prompt: Prompt, tokenizer: Tokenizer, corpus: list[int]) -> str:
    ids: list[int] = []
    for part in prompt.parts:
        start = zlib.crc32(part.key.encode()) % len(corpus)
        ids += _slice(corpus, start, part.tokens)
    following = start + prompt.parts[-1].tokens
    for _ in range(TRIES):
        text = tokenizer.decode(ids)
        surplus = len(tokenizer.encode(text)) - prompt.input_tokens
        if not surplus:
            break
        ids = ids[:-surplus] if surplus > 0 else ids + _slice(corpus, following, -surplus)
        following -= min(surplus, 0)
    return text


def _slice(corpus: list[int], start: int, count: int) -> list[int]:
    """`count` tokens from `start`, from the beginning again behind the end."""
    return [corpus[(start + i) % len(corpus)] for i in range(count)]


def tokenizer_in(folder: Path | None) -> Any:
    """The tokenizer of a folder, or Words where there is none."""
    return Words() if folder is None else TokenizerFile(folder)
