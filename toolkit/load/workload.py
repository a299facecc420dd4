"""What prompts are sent and how long the answers are, as pure values. No text, no tokenizer, no clock.

In: a shape or lengths in tokens, as poc.yaml and the command line have them. Out: a Prompt for every request: the parts
that it consists of, so that prompts that begin alike share a part, and how many tokens are asked of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from toolkit.errors import UsageError
from toolkit.records import from_data

MEND = "write a number (128), a range (32..256), or a mean and its deviation (128+-40), in tokens"
_RANGE, _NORMAL = re.compile(r"(-?\d+)\.\.(-?\d+)"), re.compile(r"(-?\d+)\+-(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Lengths in tokens, all from `low` to `high`: even, or normal where there is a `deviation` round `mean`."""

    low: int
    high: int
    mean: float = 0.0
    deviation: float = 0.0

    def draw(self, generator: np.random.Generator, count: int) -> list[int]:
        """`count` lengths."""
        if self.deviation:
            drawn = np.rint(generator.normal(self.mean, self.deviation, count))
            return [int(n) for n in np.clip(drawn, self.low, self.high)]
        return [int(n) for n in generator.integers(self.low, self.high, count, endpoint=True)]


def lengths_from(text: int | str, what: str) -> Lengths:
    """Read `128`, `32..256` or `128+-40` (cut at 1 and at the mean and three deviations). Raises UsageError."""
    words = str(text).strip()
    if match := _NORMAL.fullmatch(words):
        mean, deviation = int(match[1]), int(match[2])
        return _checked(Lengths(low=1, high=mean + 3 * deviation, mean=mean, deviation=deviation), words, what)
    match = _RANGE.fullmatch(words)
    try:
        low, high = (int(match[1]), int(match[2])) if match else (int(words), int(words))
    except ValueError as err:
        raise UsageError(f"workload: {what} is '{words}', which is no length", mend=MEND) from err
    return _checked(Lengths(low=low, high=high), words, what)


def _checked(lengths: Lengths, text: str, what: str) -> Lengths:
    if lengths.low < 1 or lengths.high < lengths.low or (lengths.deviation and lengths.mean < 1):
        raise UsageError(f"workload: {what} is '{text}'; expected lengths of 1 token or more, the smaller one first")
    return lengths


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """`requests` prompts of `input` tokens, the first `shared` of which are one of `prefixes` texts.

    `output` tokens are asked of each; an end of text before that is ignored, so that a run has the length it was given.
    """

    input: Lengths
    output: Lengths
    shared: int = 0
    prefixes: int = 1
    requests: int = 64
    seed: int = 0


#: A conversation's turn behind a system prompt; a question behind retrieved passages, many of which come again.
SHAPES: Mapping[str, Workload] = {
    "chat": Workload(
        input=Lengths(low=72, high=640, mean=256.0, deviation=128.0),
        output=Lengths(low=16, high=480, mean=192.0, deviation=96.0),
        shared=64,
    ),
    "rag": Workload(
        input=Lengths(low=1100, high=3072, mean=1792.0, deviation=512.0),
        output=Lengths(low=16, high=272, mean=128.0, deviation=48.0),
        shared=1024,
        prefixes=8,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec:
    """A workload as it is written down: a shape of SHAPES, each length of which may be another one.

    `trace`, the path of a file, has the lengths instead (token_trace.py), multiplied by `scale`.
    """

    shape: Literal["chat", "rag"] = "chat"
    input: int | str | None = None
    output: int | str | None = None
    shared: int | None = None
    prefixes: int | None = None
    requests: int | None = None
    seed: int | None = None
    trace: str | None = None
    scale: float = 1.0


def workload_from_data(data: Mapping[str, Any], where: str) -> Workload:
    """The workload of a mapping with the keys of WorkloadSpec. Raises ConfigurationError and UsageError.

    Lengths of one's own have no shared beginning unless they say so.
    """
    spec: WorkloadSpec = from_data(WorkloadSpec, dict(data), where)
    base = SHAPES[spec.shape]
    if spec.input is not None and "shape" not in data:
        base = replace(base, shared=0, prefixes=1)
    names = ("input", "output", "shared", "prefixes", "requests", "seed")
    given: dict[str, Any] = {name: value for name in names if (value := getattr(spec, name)) is not None}
    given |= {name: lengths_from(given[name], name) for name in ("input", "output") if name in given}
    workload = replace(base, **given)
    for name, least in (("shared", 0), ("prefixes", 1), ("requests", 1), ("seed", 0)):
        if getattr(workload, name) < least:
            raise UsageError(f"workload: {name} is {getattr(workload, name)}; expected {least} or more")
    if workload.shared >= workload.input.low:
        text = f"workload: {workload.shared} shared tokens leave nothing of a prompt of {workload.input.low}"
        raise UsageError(text, mend="shorten `shared`, or lengthen `input`")
    return workload


def workload_data_from_text(text: str) -> dict[str, Any]:
    """The mapping that `chat`, `input=128,output=32..64,shared=16` or a shape and changes mean. Raises UsageError."""
    data: dict[str, Any] = {}
    for part in text.split(","):
        key, equals, value = (p.strip() for p in part.partition("="))
        if not equals and key in SHAPES and not data:
            data["shape"] = key
        elif equals and value and key in WorkloadSpec.__dataclass_fields__:
            data[key] = int(value) if re.fullmatch(r"-?\d+", value) else value
        else:
            mend = f"{' or '.join(SHAPES)}, or input=128,output=32..64,shared=16,prefixes=1,requests=64"
            raise UsageError(f"workload '{text}': '{part.strip()}' is no part of a workload", mend=mend)
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`tokens` of the text that `key` stands for: the same key begins alike, another one is another text."""

    key: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One request: its prompt's parts in their order, and how many tokens are asked."""

    parts: tuple[Part, ...]
    output_tokens: int

    @property
    def input_tokens(self) -> int:
        """The length of the whole prompt."""
        return sum(part.tokens for part in self.parts)


def prompts_of(workload: Workload) -> tuple[Prompt, ...]:
    """The prompts of a workload; the same workload gives the same ones."""
    generator = np.random.default_rng(workload.seed)
    inputs = workload.input.draw(generator, workload.requests)
    outputs = workload.output.draw(generator, workload.requests)
    prefixes = generator.integers(0, workload.prefixes, workload.requests).tolist()
    seed, shared = workload.seed, workload.shared

    def prompt(number: int) -> Prompt:
        own = Part(key=f"{seed}/request {number}", tokens=inputs[number] - shared)
        begin = (Part(key=f"{seed}/prefix {prefixes[number]}", tokens=shared),) if shared else ()
        return Prompt(parts=(*begin, own), output_tokens=outputs[number])

    return tuple(prompt(number) for number in range(workload.requests))
