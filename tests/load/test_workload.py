"""Workloads as values: how lengths are written, what is refused, and what prompts come of them."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.errors import ToolkitError
from toolkit.load.workload import Workload, lengths_from, prompts_of, workload_data_from_text, workload_from_data


def workload_from_text(text: str) -> Workload:
    return workload_from_data(workload_data_from_text(text), "workload")


@pytest.mark.parametrize(
    ("text", "low", "high", "mean"), [(128, 128, 128, 128), ("32..96", 32, 96, 64), ("100+-10", 1, 130, 100)]
)
def test_lengths(text: int | str, low: int, high: int, mean: float) -> None:
    drawn = lengths_from(text, "input").draw(np.random.default_rng(0), 2000)
    assert min(drawn) >= low and max(drawn) <= high
    assert np.mean(drawn) == pytest.approx(mean, rel=0.03)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("input=0,output=8", "input is '0'"),
        ("input=8,output=-1", "output is '-1'"),
        ("input=9..3", "the smaller one first"),
        ("input=many", "no length"),
        ("talk", "'talk' is no part"),
        ("input=", "'input=' is no part"),
        ("input=64,shared=64", "leave nothing"),
        ("chat,requests=0", "requests is 0"),
        ("chat,prefixes=0", "prefixes is 0"),
        ("chat,rag", "'rag' is no part"),
    ],
)
def test_refused(text: str, complaint: str) -> None:
    with pytest.raises(ToolkitError) as found:
        workload_from_text(text)
    assert complaint in found.value.message


def test_the_same_workload_gives_the_same_prompts_and_another_seed_others() -> None:
    first, again, other = (prompts_of(workload_from_text(f"chat,seed={seed}")) for seed in (1, 1, 2))
    assert first == again and first != other
    assert len(first) == 64 and {p.parts[0] for p in first} == {first[0].parts[0]}
    assert len({p.parts[1].key for p in first}) == 64


def test_passages_come_again_in_the_rag_shape() -> None:
    prompts = prompts_of(workload_from_data({"shape": "rag", "prefixes": 4, "requests": 100}, "workload"))
    assert {p.parts[0].tokens for p in prompts} == {1024}
    assert len({p.parts[0].key for p in prompts}) == 4
    assert all(p.input_tokens >= 1100 and p.output_tokens >= 16 for p in prompts)


def test_lengths_of_ones_own_share_nothing() -> None:
    (prompt, *_) = prompts_of(workload_from_text("input=128,output=16"))
    assert (len(prompt.parts), prompt.input_tokens, prompt.output_tokens) == (1, 128, 16)
