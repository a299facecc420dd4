"""Requests and events of text generation: two dialects, and what a stream says."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from generation_stub import INPUTS, WORDS, generating

from toolkit.errors import ServerTrouble, UsageError
from toolkit.serve.generation import Sampling, generates_text, generation_request, piece_from_event
from toolkit.serve.server import Endpoint
from toolkit.serve.token_stream import stream_pieces

OURS = frozenset(name for name, _ in INPUTS)
LLM_API = frozenset(("text_input", "streaming", "sampling_param_max_tokens", "return_finish_reason"))


def test_our_dialect_is_that_of_tritons_vllm_backend() -> None:
    said = generation_request("a", Sampling(max_tokens=4, ignore_eos=True), OURS, details=True)
    sampling = json.loads(said.pop("sampling_parameters"))
    assert sampling == {"max_tokens": 4, "ignore_eos": True, "temperature": 0.0}
    seeded = generation_request("a", Sampling(temperature=None, seed=0), OURS)["sampling_parameters"]
    assert json.loads(seeded) == {"max_tokens": 16, "seed": 0}
    assert said == {"text_input": "a", "stream": True, "exclude_input_in_output": True} | {
        f"return_{what}": True for what in ("finish_reason", "num_input_tokens", "num_output_tokens", "token_ids")
    }
    plain = generation_request("a", Sampling(), frozenset(("text_input", "stream", "sampling_parameters")))
    assert set(plain) == {"text_input", "stream", "sampling_parameters"}


def test_the_llm_apis_dialect_has_an_input_for_each_parameter() -> None:
    said = generation_request("a", Sampling(max_tokens=4, stop=("x",), ignore_eos=True), LLM_API, details=True)
    assert said == {
        "text_input": "a", "streaming": True, "sampling_param_max_tokens": 4, "sampling_param_temperature": 0.0,
        "sampling_param_stop": ("x",), "sampling_param_exclude_input_from_output": True, "return_finish_reason": True,
    }  # fmt: skip
    with pytest.raises(UsageError, match="no input for min_tokens"):
        generation_request("a", Sampling(min_tokens=3), LLM_API)


def test_events() -> None:
    piece = piece_from_event('{"text_output":"a","token_ids":[5,6],"finish_reason":"None","num_input_tokens":3}')
    assert (piece.text, piece.token_ids, piece.finish_reason, piece.input_tokens) == ("a", (5, 6), "", 3)
    assert piece_from_event('{"text_output":"","token_ids":5,"finish_reason":"length"}').token_ids == (5,)
    for bad, said in (('{"error":"no memory"}', "no memory"), ("3", "no response"), ("{", "no response")):
        with pytest.raises(ServerTrouble, match=said):
            piece_from_event(bad)


@pytest.mark.parametrize(
    ("inputs", "is_one"), [([{"name": "text_input"}], True), ([{"name": "x"}], False), ([], False)]
)
def test_what_generates_text(inputs: list[dict[str, str]], is_one: bool) -> None:
    assert generates_text({"input": inputs}) == generates_text({"inputs": inputs}) == is_one


@pytest.mark.parametrize("bad", [{"max_tokens": 0}, {"max_tokens": -4}, {"temperature": -0.1}])
def test_sampling_that_nobody_can_do(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        Sampling(**bad)  # type: ignore[arg-type]


def test_pieces_come_one_by_one_and_a_reader_may_leave() -> None:
    with generating(gap_s=0.01) as stub:
        endpoint = Endpoint(http=stub.address)
        request = generation_request("a b", Sampling(max_tokens=4), OURS, details=True)
        came = list(stream_pieces(endpoint, "llm", request))
        assert [timed.piece.text for timed in came] == WORDS[:4]
        assert all(before.after_s < after.after_s for before, after in pairwise(came))
        assert came[-1].piece.finish_reason == "length"
        leaving = stream_pieces(endpoint, "llm", generation_request("a", Sampling(max_tokens=10**6), OURS))
        next(leaving)
        leaving.close()


def test_a_stream_that_is_cut_short_says_how_far_it_came() -> None:
    with generating(die_after=2) as stub:
        request = generation_request("a", Sampling(), OURS)
        with pytest.raises(ServerTrouble, match="cut short after 2 responses"):
            list(stream_pieces(Endpoint(http=stub.address), "llm", request))
    with pytest.raises(ServerTrouble, match="failed after 0"):
        list(stream_pieces(Endpoint(http=stub.address), "llm", request))
