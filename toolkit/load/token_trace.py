"""The lengths of a trace of generations: a file goes in, a Prompt for each of its lines comes out.

The public formats are known by their columns: Mooncake and AIPerf (`input_length`, `output_length`, `hash_ids`), Azure
(`ContextTokens`, `GeneratedTokens`), BurstGPT (`Request tokens`, `Response tokens`). When requests come is
trace_file.py's; the n-th arrival sends the n-th prompt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.errors import ConfigurationError, UsageError
from toolkit.load.trace_file import trace_rows
from toolkit.load.workload import Part, Prompt

INPUT = ("input_length", "contexttokens", "request tokens", "input_tokens", "prompt_tokens")
OUTPUT = ("output_length", "generatedtokens", "response tokens", "output_tokens", "completion_tokens")
#: Equal ids stand for equal blocks of so many tokens (Mooncake).
BLOCKS, BLOCK_TOKENS = "hash_ids", 512
MOST = 9_999


def has_lengths(path: Path) -> bool:
    """Whether a trace says how long its requests are."""
    rows = trace_rows(path)
    return bool(rows) and _column(rows[0][1], INPUT) is not None and _column(rows[0][1], OUTPUT) is not None


def prompts_from_trace(path: Path, *, scale: float = 1.0, seed: int = 0) -> tuple[Prompt, ...]:
    """A prompt for each line, its lengths multiplied by `scale` and 1 at least; blocks of one id begin alike.

    Raises ConfigurationError that names the line, UsageError for a trace that is too long.
    """
    if not has_lengths(path):
        expected = f"{INPUT[0]} and {OUTPUT[0]}, or the columns of Azure's or BurstGPT's traces"
        raise ConfigurationError(f"{path} does not say how long its requests are; expected {expected}")
    rows = trace_rows(path)
    if len(rows) > MOST:
        raise UsageError(f"{path} has {len(rows):,} requests; {MOST:,} are sent at most", mend="cut the trace")
    if not scale > 0:
        raise UsageError(f"workload: scale is {scale:g}; expected more than 0")
    return tuple(_prompt(row, scale, f"{seed}/line {number}", f"{path}:{number}") for number, row in rows)


def _prompt(row: dict[str, Any], scale: float, key: str, where: str) -> Prompt:
    given, asked = (_length(row, names, where) for names in (INPUT, OUTPUT))
    ids = row.get(BLOCKS)
    blocks = [Part(key=key, tokens=given)] if not isinstance(ids, list) or not ids else _blocks(ids, given)
    parts = tuple(Part(key=part.key, tokens=max(1, round(scale * part.tokens))) for part in blocks)
    return Prompt(parts=parts, output_tokens=max(1, round(scale * asked)))


def _blocks(ids: list[Any], tokens: int) -> list[Part]:
    """The blocks of a prompt; the last one has what is left."""
    last = tokens - BLOCK_TOKENS * (len(ids) - 1)
    sizes = [BLOCK_TOKENS] * (len(ids) - 1) + [last]
    return [Part(key=f"block {number}", tokens=size) for number, size in zip(ids, sizes, strict=True) if size > 0]


def _length(row: dict[str, Any], names: tuple[str, ...], where: str) -> int:
    column = _column(row, names)
    try:
        length = int(row[column or names[0]])
    except (KeyError, TypeError, ValueError) as err:
        raise ConfigurationError(f"{where} has no length in '{column or names[0]}'") from err
    if length < 0:
        raise ConfigurationError(f"{where}: '{column}' is {length}; expected 0 tokens or more")
    return length


def _column(row: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in row), None)
