"""The OpenAI facade by OpenAI's own client: answers, streams, refusals, and clients that go away."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from generation_stub import INPUTS, WORDS, Stub, generating

from toolkit.errors import EnvironmentProblem
from toolkit.serve.openai import Model, facade
from toolkit.serve.server import Endpoint

openai = pytest.importorskip("openai", reason="the facade's client needs the `test` extra")

TEXT = "".join(WORDS)
MODEL = Model(name="llm", inputs=frozenset(name for name, _ in INPUTS))
ASK: dict[str, Any] = {"model": "llm", "max_tokens": len(WORDS)}
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is import?"}]


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with generating(gap_s=0.005) as running:
        yield running


@pytest.fixture(scope="module")
def client(stub: Stub) -> Iterator[Any]:
    with facade(Endpoint(http=stub.address), (MODEL,)) as speaking:
        yield openai.OpenAI(base_url=f"http://{speaking.address}/v1", api_key="none", max_retries=0)


def test_the_models_are_listed(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["llm"]
    assert client.models.retrieve("llm").owned_by == "triton"
    with pytest.raises(openai.NotFoundError, match="no model 'gpt'"):
        client.models.retrieve("gpt")


def test_a_completion_with_its_usage(client: Any, stub: Stub) -> None:
    answer = client.completions.create(prompt="a b c", temperature=0, stop=["zzz"], seed=3, **ASK)
    assert (answer.object, answer.choices[0].text, answer.choices[0].finish_reason) == (
        "text_completion",
        TEXT,
        "length",
    )
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 6, 9)
    sampling = json.loads(stub.asked[-1]["sampling_parameters"])
    assert sampling == {"max_tokens": 6, "temperature": 0.0, "stop": ["zzz"], "seed": 3}
    assert stub.asked[-1]["exclude_input_in_output"] is True


def test_a_chat_in_the_plain_template(client: Any, stub: Stub) -> None:
    answer = client.chat.completions.create(messages=CHAT, model="llm", max_completion_tokens=2)
    assert answer.choices[0].message.content == "The import"
    assert answer.choices[0].message.role == "assistant"
    assert stub.asked[-1]["text_input"] == "system: Be brief.\nuser: What is import?\nassistant:"


def test_a_stream_comes_piece_by_piece_and_ends_with_its_usage(client: Any) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(messages=CHAT, **ASK, **options))
    *said, last = chunks
    assert "".join(chunk.choices[0].delta.content for chunk in said) == TEXT
    assert [said[0].choices[0].delta.role, said[1].choices[0].delta.role] == ["assistant", None]
    assert [chunk.choices[0].finish_reason for chunk in said] == [None] * 5 + ["length"]
    assert (last.choices, last.usage.completion_tokens) == ([], 6)


def test_a_streamed_completion_has_text_without_usage(client: Any) -> None:
    chunks = list(client.completions.create(prompt="a", stream=True, **ASK))
    assert "".join(chunk.choices[0].text for chunk in chunks) == TEXT
    assert all(chunk.usage is None for chunk in chunks)


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "several choices": ({"n": 2}, "n is not done", "n"),
    "log probabilities": ({"logprobs": 2}, "logprobs is not done", "logprobs"),
    "an unknown key": ({"extra_body": {"beam": 3}}, "no parameter 'beam'", "beam"),
    "no tokens": ({"max_tokens": 0}, "max_tokens is 0", "max_tokens"),
    "less than no tokens": ({"max_tokens": -1}, "max_tokens is -1", "max_tokens"),
    "a cold model": ({"temperature": -1}, "temperature is -1", "temperature"),
    "a text for a number": ({"seed": "x"}, "seed is 'x'", "seed"),
    "an empty prompt": ({"prompt": ""}, "not empty", "prompt"),
    "two prompts": ({"prompt": ["a", "b"]}, "several", "prompt"),
    "token ids": ({"prompt": [1, 2]}, "several", "prompt"),
    "an empty stop": ({"stop": ""}, "stop must be", "stop"),
}


@pytest.mark.parametrize(("change", "said", "param"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_done_is_refused_with_openais_error_body(
    client: Any, change: dict[str, Any], said: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=said) as found:
        client.completions.create(**({"prompt": "a"} | ASK | change))
    assert (found.value.param, found.value.type) == (param, "invalid_request_error")


def test_chats_that_are_not_done(client: Any) -> None:
    picture = [{"type": "image_url", "image_url": {"url": "data:"}}]
    for messages in ([], [{"role": "user", "content": picture}], [{"role": "wizard", "content": "a"}]):
        with pytest.raises(openai.BadRequestError, match="messages"):
            client.chat.completions.create(messages=messages, **ASK)
    with pytest.raises(openai.BadRequestError, match="tools is not done"):
        client.chat.completions.create(messages=CHAT, tools=[{"type": "function", "function": {"name": "f"}}], **ASK)


def test_the_servers_refusals_keep_their_meaning(client: Any) -> None:
    with pytest.raises(openai.InternalServerError, match="the queue is full") as busy:
        client.completions.create(prompt="forbidden", **ASK)
    assert (busy.value.status_code, busy.value.code) == (503, "queue_full")
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="the prompt has 5000 tokens") as long:
            client.completions.create(prompt="a " * 5000, stream=stream, **ASK)
        assert long.value.code == "context_length_exceeded"


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_ends_the_generation(client: Any, stub: Stub, stream: bool) -> None:
    before = stub.cancelled
    ask = {"prompt": "a", "model": "llm", "max_tokens": 100_000, "stream": stream}
    if stream:
        with client.completions.create(**ask) as chunks:
            next(iter(chunks))  # long before the last, so pieces come as they are made
    else:
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.3).completions.create(**ask)
    deadline = time.monotonic() + 10
    while stub.cancelled == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert stub.cancelled == before + 1


def test_a_server_that_dies_within_a_stream() -> None:
    with generating(die_after=3) as dying, facade(Endpoint(http=dying.address), (MODEL,)) as speaking:
        client = openai.OpenAI(base_url=f"http://{speaking.address}/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.APIError, match="is gone"):
            list(client.completions.create(prompt="a", stream=True, **ASK))


def test_a_port_that_is_taken(stub: Stub) -> None:
    port = int(stub.address.rpartition(":")[2])
    with pytest.raises(EnvironmentProblem, match=str(port)), facade(Endpoint(http=stub.address), (MODEL,), port=port):
        pass
