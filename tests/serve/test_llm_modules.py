"""The parts of the onnxruntime_llm backend that need neither Triton nor a model: requests, text, sampling."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from toolkit.serve import backend_directory

FOLDER = Path(backend_directory.__file__).parent / "backends" / "onnxruntime_llm"


@pytest.fixture(scope="module", autouse=True)
def _path():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def texts(**values: object) -> dict[str, np.ndarray]:
    return {name: np.array([value], bool if isinstance(value, bool) else np.object_) for name, value in values.items()}


# --- requests


def test_defaults_are_those_of_vllm():
    request = module("llm_request").generation_request(texts(text_input=b"hi"), "{}")
    sampling = request.sampling
    assert (request.text, request.stream, request.exclude_input_in_output) == ("hi", False, True)
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.min_tokens) == (1.0, 1.0, 16, 0)
    assert (sampling.seed, sampling.stop, sampling.ignore_eos) == (None, (), False)


def test_parameters_of_the_request_count_where_there_is_no_tensor():
    make = module("llm_request").generation_request
    assert make(texts(text_input=b"hi"), '{"max_tokens": 3}').sampling.max_tokens == 3
    both = texts(text_input=b"hi", sampling_parameters=b'{"max_tokens": 4}')
    assert make(both, '{"max_tokens": 3}').sampling.max_tokens == 4


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ('{"stop": "a"}', "stop", ("a",)),
        ('{"stop": ["a", "b"]}', "stop", ("a", "b")),
        ('{"max_tokens": "7"}', "max_tokens", 7),
        ('{"temperature": "0.5"}', "temperature", 0.5),
        ('{"temperature": 0}', "temperature", 0),
        ('{"top_k": -1}', "top_k", -1),
        ('{"ignore_eos": "True"}', "ignore_eos", True),
        ('{"seed": null}', "seed", None),
        ("", "seed", None),
    ],
)
def test_parameters_that_are_taken(given, field, value):
    assert getattr(module("llm_request").sampling_from_json(given), field) == value


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "is list; expected a JSON object"),
        ('{"max_token": 3}', "'max_token' is unknown; known: temperature"),
        ('{"max_tokens": 0}', "max_tokens is 0; expected an integer from 1"),
        ('{"max_tokens": -5}', "max_tokens is -5; expected an integer from 1"),
        ('{"max_tokens": 2.5}', "max_tokens is 2.5; expected an integer"),
        ('{"max_tokens": true}', "max_tokens is True; expected an integer"),
        ('{"max_tokens": "many"}', "max_tokens is 'many'; expected an integer"),
        ('{"min_tokens": -1}', "min_tokens is -1; expected an integer from 0"),
        ('{"temperature": -0.1}', "temperature is -0.1; expected a number from 0 to 100"),
        ('{"temperature": NaN}', "temperature is nan; expected a number"),
        ('{"temperature": Infinity}', "temperature is inf; expected a number from 0 to 100"),
        ('{"top_p": 0}', "top_p is 0; expected a number above 0 to 1"),
        ('{"top_p": 1.1}', "top_p is 1.1; expected a number above 0 to 1"),
        ('{"top_k": -2}', "top_k is -2; expected an integer from -1"),
        ('{"stop": ""}', "expected a text, or a list of texts that are not empty"),
        ('{"stop": [1]}', "expected a text, or a list of texts that are not empty"),
        ('{"ignore_eos": 1}', "ignore_eos is 1; expected true or false"),
    ],
)
def test_parameters_that_are_refused(given, reason):
    with pytest.raises(module("llm_request").Refused) as caught:
        module("llm_request").sampling_from_json(given)
    assert reason in str(caught.value)
    assert caught.value.code == "INVALID_ARG"


def test_a_prompt_that_is_no_utf8_and_a_stream_with_its_prompt():
    make = module("llm_request").generation_request
    with pytest.raises(module("llm_request").Refused, match="not valid UTF-8: invalid start byte at byte 2"):
        make(texts(text_input=b"ab\xff"), "{}")
    with pytest.raises(module("llm_request").Refused, match="a stream holds no prompt"):
        make(texts(text_input=b"a", stream=True, exclude_input_in_output=False), "{}")


# --- text


class Bytes:
    """A tokenizer whose tokens are pieces of UTF-8."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    def decode(self, ids: list[int]) -> str:
        return b"".join(self.pieces[i] for i in ids).decode(errors="replace")


def streamed(pieces: list[bytes], stops: tuple[str, ...] = (), **more: bool) -> tuple[list[str], bool]:
    """What is shown after each token, and at the end, as the scheduler asks for it."""
    stream = module("llm_text").TextStream(Bytes(*pieces), stops, **more)
    shown = []
    for token in range(len(pieces)):
        shown.append(stream.add(token))
        if stream.stopped:
            return shown, True
    return [*shown, stream.rest()], False


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([b"ab", b"c"], ["ab", "c", ""]),
        (["€".encode()[:1], "€".encode()[1:], b"!"], ["", "€", "!", ""]),
        ([b"a\xe2", b"\x82", b"\xac"], ["", "", "a€", ""]),
        ([b"a", b"\xf0\x9f"], ["a", "", "�"]),
        ([b"\xff"] * 8, ["", "", "", "", "", "�" * 6, "", "", "��"]),
    ],
    ids=["ascii", "two-parts", "three-parts", "cut-off", "never-a-character"],
)
def test_only_whole_characters_are_shown(pieces, shown):
    assert streamed(pieces) == (shown, False)


@pytest.mark.parametrize(
    ("pieces", "stops", "shown", "stopped"),
    [
        ([b"one ", b"END", b"x"], ("END",), ["one ", ""], True),
        ([b"one E", b"N", b"D two"], ("END",), ["one ", "", ""], True),
        ([b"one E", b"N", b"ough"], ("END",), ["one ", "", "ENough", ""], False),
        ([b"a\nU", b"ser: hi"], ("\nUser:", "zzz"), ["a", ""], True),
        ([b"abab", b"c"], ("abc",), ["ab", ""], True),
        ([b"x END y END"], ("END", "x E"), [""], True),
        ([b"one E"], ("END",), ["one ", "E"], False),
    ],
    ids=["whole", "across-tokens", "false-alarm", "two-stops", "overlapping-itself", "earliest-wins", "end-of-answer"],
)
def test_a_stop_string_is_found_across_tokens_and_never_shown(pieces, stops, shown, stopped):
    assert streamed(pieces, stops) == (shown, stopped)


def test_a_stop_string_can_be_shown_and_can_wait_for_the_least_length():
    assert streamed([b"a E", b"ND b"], ("END",), include_stop=True) == (["a ", "END"], True)
    stream = module("llm_text").TextStream(Bytes(b"END", b"x"), ("END",))
    assert (stream.add(0, may_stop=False), stream.stopped) == ("END", False)


# --- sampling


def draws(logits: list[float], count: int = 4000, **sampling: object) -> np.ndarray:
    request, sample = module("llm_request"), module("llm_sampling")
    chosen, random = request.Sampling(**sampling), sample.generator(7)
    found = [sample.choose(np.array(logits, np.float32), chosen, random) for _ in range(count)]
    return np.bincount(found, minlength=len(logits)) / count


LOGITS = [np.log(p) for p in (0.5, 0.25, 0.15, 0.1)]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ({}, [0.5, 0.25, 0.15, 0.1]),
        ({"temperature": 0.0}, [1, 0, 0, 0]),
        ({"temperature": 0.5}, [0.725, 0.181, 0.065, 0.029]),
        ({"top_k": 2}, [2 / 3, 1 / 3, 0, 0]),
        ({"top_k": 1}, [1, 0, 0, 0]),
        ({"top_k": 99}, [0.5, 0.25, 0.15, 0.1]),
        ({"top_p": 0.5}, [1, 0, 0, 0]),
        ({"top_p": 0.7}, [2 / 3, 1 / 3, 0, 0]),
        ({"top_p": 0.8}, [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0]),
        ({"top_k": 3, "top_p": 0.9}, [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0]),
    ],
    ids=str,
)
def test_tokens_are_drawn_as_often_as_they_are_likely(sampling, expected):
    # Four standard deviations of a share of 4000 draws are at most 0.032.
    assert np.allclose(draws(LOGITS, **sampling), expected, atol=0.032)


def test_a_seed_fixes_the_draws_and_others_differ():
    sample, request = module("llm_sampling"), module("llm_request")

    def row(seed: int | None) -> list[int]:
        random = sample.generator(seed)
        return [sample.choose(np.array(LOGITS), request.Sampling(), random) for _ in range(64)]

    assert row(1) == row(1) != row(2)
    assert row(-1) == row(-1)
    assert row(None) != row(None)


def test_banned_tokens_are_never_chosen_and_equal_logits_give_the_first():
    sample, request = module("llm_sampling"), module("llm_request")
    greedy, logits = request.Sampling(temperature=0.0), np.array([1.0, 3.0, 3.0, 2.0])
    assert sample.choose(logits, greedy, None) == 1
    assert sample.choose(logits, greedy, None, banned=(1, 2)) == 3
    assert logits[1] == 3.0
