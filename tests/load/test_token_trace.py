"""Lengths from traces: the public formats by their columns, blocks that begin alike, and lines that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import ConfigurationError, UsageError
from toolkit.load.token_trace import has_lengths, prompts_from_trace
from toolkit.load.trace_file import trace_from_file

MOONCAKE = """\
{"timestamp": 0, "input_length": 1200, "output_length": 52, "hash_ids": [0, 1, 2]}
{"timestamp": 3500, "input_length": 1300, "output_length": 26, "hash_ids": [0, 1, 3]}
"""
AZURE = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
"""
BURST = """\
Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,GPT-4,1087,0,1087,Conversation log
"""


@pytest.mark.parametrize(
    ("text", "unit", "times_s", "lengths"),
    [
        (MOONCAKE, "ms", (0.0, 3.5), [(1200, 52), (1300, 26)]),
        (AZURE, "s", (0.0, 4.314579), [(374, 44), (396, 109)]),
        (BURST, "s", (5.0, 45.0), [(472, 18), (1087, 1)]),  # an answer that was none asks for one token
    ],
    ids=["Mooncake", "Azure", "BurstGPT"],
)
def test_public_formats(
    tmp_path: Path, text: str, unit: str, times_s: tuple[float, ...], lengths: list[tuple[int, int]]
) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    assert trace_from_file(path, unit=unit).timestamps_s == pytest.approx(times_s, abs=1e-5)  # type: ignore[arg-type]
    assert [(p.input_tokens, p.output_tokens) for p in prompts_from_trace(path)] == lengths


def test_blocks_of_one_id_begin_alike_and_lengths_are_scaled(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(MOONCAKE)
    first, second = prompts_from_trace(path, scale=0.1)
    assert first.parts[:2] == second.parts[:2] and first.parts[2] != second.parts[2]
    assert [part.tokens for part in first.parts] == [51, 51, 18]
    assert first.output_tokens == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.5\n0.7\n", "does not say how long"),
        ("timestamp\n0.5\n", "does not say how long"),
        ('{"timestamp": 0, "input_length": -4, "output_length": 2}', "'input_length' is -4"),
        ('{"timestamp": 0, "input_length": 4, "output_length": "x"}', "no length in 'output_length'"),
        ('{"timestamp": 0, "input_length": 4, "output_length": 2}\n{"timestamp": 1}', ":2 has no length"),
    ],
)
def test_what_is_no_trace_of_lengths(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        prompts_from_trace(path)


def test_a_scale_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(BURST)
    assert has_lengths(path)
    with pytest.raises(UsageError, match="scale is 0"):
        prompts_from_trace(path, scale=0)
