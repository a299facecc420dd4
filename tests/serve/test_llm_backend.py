"""The onnxruntime_llm backend inside a real Triton, on a tiny model: what it says, when it ends, what it refuses.

One server with two entries of the same model: `llm`, and `narrow` with two slots, one place in the queue and prompts
read four tokens at a time.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tiny_llm import CONTEXT, make_folder

from toolkit.export.arrays import read_arrays
from toolkit.export.export import export
from toolkit.export.generation_parity import TIE, continuations, judge_tokens
from toolkit.export.spec import REFERENCE_FILE, ExportSpec
from toolkit.models.source import source_from_path
from toolkit.repository.entry import add_artifact
from toolkit.repository.lint import lint_repository
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Server

GREEDY = {"temperature": 0, "ignore_eos": True}
PROMPTS = 40
NARROW = {"slots": 2, "queue_limit": 1, "prefill_chunk": 4}


@dataclass(frozen=True)
class Answer:
    """One streamed answer: its events, and the text and tokens of all of them."""

    events: list[dict[str, Any]]

    @property
    def text(self) -> str:
        return "".join(e["text_output"] for e in self.events)

    @property
    def tokens(self) -> list[int]:
        return [token for e in self.events for token in several(e["token_ids"])]

    @property
    def finish(self) -> str:
        return str(self.events[-1]["finish_reason"])


@dataclass(frozen=True)
class Served:
    server: Server
    reference: dict[str, np.ndarray]
    prompts: list[str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("llm")
    source = source_from_path(str(make_folder(folder / "customer")))
    artifact = export(source, ExportSpec(sample_count=PROMPTS), folder / "artifact", name="llm")
    assert artifact.parity == "passed"
    add_artifact(folder / "repository", folder / "artifact")
    parameters = {key: str(value) for key, value in NARROW.items()}
    add_artifact(folder / "repository", folder / "artifact", name="narrow", config={"parameters": parameters})
    assert lint_repository(folder / "repository") == ()
    prompts = json.loads((folder / "artifact" / "prompts.json").read_text())
    with serve_embedded(folder / "repository") as server:
        yield Served(server, read_arrays(folder / "artifact" / REFERENCE_FILE), prompts)


def several(value: Any) -> list[Any]:
    """Triton writes a tensor of one element as a bare value."""
    return value if isinstance(value, list) else [value]


def body(prompt: str, sampling: dict[str, Any], **inputs: Any) -> bytes:
    given = {"text_input": prompt, "sampling_parameters": json.dumps(sampling)}
    return json.dumps(given | inputs).encode()


def post(server: Server, path: str, data: bytes, model: str = "llm") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.endpoint.http, timeout=60)
    connection.request("POST", f"/v2/models/{model}/{path}", data)
    response = connection.getresponse()
    return response.status, response.read()


def stream(server: Server, prompt: str, sampling: dict[str, Any], model: str = "llm") -> Answer:
    wanted = {"return_token_ids": True, "return_finish_reason": True, "return_num_output_tokens": True}
    status, data = post(server, "generate_stream", body(prompt, sampling, stream=True, **wanted), model)
    assert status == 200, data
    return Answer([json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")])


def whole(server: Server, prompt: str, sampling: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    status, data = post(server, "generate", body(prompt, sampling, **inputs))
    assert status == 200, data
    return dict(json.loads(data))


def metric(server: Server, name: str, model: str = "llm") -> float:
    connection = http.client.HTTPConnection(server.endpoint.metrics, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    found = re.search(rf'^onnxruntime_llm_{name}\{{model="{model}",version="1"\}} (\S+)$', text, re.MULTILINE)
    assert found, f"{name} is not on /metrics"
    return float(found[1])


def until(condition: Any, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("model", ["llm", "narrow"])
def test_streamed_tokens_are_those_of_hugging_face_while_requests_join_and_leave(served, model):
    """Prompts of other lengths, and each leaves after another number of tokens, so that batches never stay the same."""
    tokens = np.array(served.reference["tokens"])
    steps = tokens.shape[1]
    lengths = [steps - 2 * (row % 13) for row in range(len(tokens))]
    clients = 8 if model == "llm" else 2
    with ThreadPoolExecutor(clients) as pool:
        asked = [
            pool.submit(stream, served.server, prompt, GREEDY | {"max_tokens": length}, model)
            for prompt, length in zip(served.prompts, lengths, strict=True)
        ]
        answers = [future.result() for future in asked]
    for row, (answer, length) in enumerate(zip(answers, lengths, strict=True)):
        assert [e["num_output_tokens"] for e in answer.events] == [1] * length
        assert (len(answer.tokens), answer.finish) == (length, "length")
        tokens[row, :length] = answer.tokens
    result = judge_tokens(continuations(served.reference, tokens))
    assert result.passed, result.reason
    ties = int((served.reference["margins"] < TIE).any(axis=1).sum())
    assert ties <= 0.05 * PROMPTS, result.reason
    assert len({tuple(a.tokens[:4]) for a in answers}) > PROMPTS / 2, "the model says the same to everything"


def test_batches_were_formed(served):
    before = [metric(served.server, name) for name in ("iterations", "decoded_rows")]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda p: stream(served.server, p, GREEDY | {"max_tokens": 60}), served.prompts[:8]))
    iterations, rows = (
        metric(served.server, name) - old for name, old in zip(("iterations", "decoded_rows"), before, strict=True)
    )
    assert rows == 8 * 59
    assert rows / iterations > 2
    assert metric(served.server, "time_to_first_token_seconds_count") > 0
    assert metric(served.server, "inter_token_latency_seconds_count") >= rows


def test_one_response_and_a_stream_say_the_same(served):
    prompt, sampling = served.prompts[2], GREEDY | {"max_tokens": 24}
    streamed = stream(served.server, prompt, sampling)
    wanted = {
        f"return_{name}": True for name in ("finish_reason", "num_input_tokens", "num_output_tokens", "token_ids")
    }
    answer = whole(served.server, prompt, sampling, **wanted)
    assert (answer["text_output"], answer["token_ids"]) == (streamed.text, streamed.tokens)
    assert (answer["finish_reason"], answer["num_output_tokens"]) == ("length", 24)
    assert answer["num_input_tokens"] == served.reference["prompt_lengths"][2]
    plain = whole(served.server, prompt, sampling, exclude_input_in_output=False)
    assert plain["text_output"] == prompt + streamed.text
    assert set(plain) == {"model_name", "model_version", "text_output"}


def test_a_stop_string_across_tokens_ends_the_answer_before_it(served):
    answer = stream(served.server, served.prompts[3], GREEDY | {"max_tokens": 30})
    pieces = [e["text_output"] for e in answer.events]
    # From inside of one token's text into the next one's, where both are plain characters.
    cut = next(i for i in range(3, 29) if len(pieces[i]) > 1 and pieces[i + 1] and "�" not in pieces[i] + pieces[i + 1])
    stop = pieces[cut][-1] + pieces[cut + 1][0]
    expected = answer.text[: answer.text.index(stop)]
    stopped = stream(served.server, served.prompts[3], GREEDY | {"max_tokens": 30, "stop": ["never said", stop]})
    assert (stopped.text, stopped.finish) == (expected, "stop")
    assert whole(served.server, served.prompts[3], GREEDY | {"max_tokens": 30, "stop": stop})["text_output"] == expected


def test_the_end_token_ends_unless_it_is_ignored_or_comes_too_soon(served):
    # Very hot sampling finds the end token soon; the seed makes it the same each time.
    hot = {"temperature": 100, "seed": 5, "max_tokens": CONTEXT}
    ended = stream(served.server, "a", hot)
    assert ended.finish == "stop"
    assert ended.tokens[-1] == 1
    assert "</s>" not in ended.text
    assert len(stream(served.server, "a", hot | {"ignore_eos": True}).tokens) > len(ended.tokens)
    longer = stream(served.server, "a", hot | {"min_tokens": len(ended.tokens) + 5})
    assert len(longer.tokens) > len(ended.tokens) + 5
    assert 1 not in longer.tokens[: len(ended.tokens) + 5]


def test_an_answer_ends_where_the_context_does(served):
    prompt = "b" * (CONTEXT - 20)
    answer = stream(served.server, prompt, GREEDY | {"max_tokens": 1000})
    count = whole(served.server, prompt, GREEDY, return_num_input_tokens=True)["num_input_tokens"]
    assert (len(answer.tokens), answer.finish) == (CONTEXT - count, "length")


def test_a_seed_gives_the_same_alone_and_among_others(served):
    warm = {"temperature": 1.5, "top_k": 40, "top_p": 0.95, "ignore_eos": True, "max_tokens": 20}
    alone = [stream(served.server, served.prompts[0], warm | {"seed": seed}).tokens for seed in (1, 2)]
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(
            lambda seed: stream(served.server, served.prompts[0], warm | {"seed": seed}).tokens,
            [1, 2, 3, 1, 2, 3, 1, 2],
        )
        together = list(together)
    assert alone[0] != alone[1]
    assert together == [alone[0], alone[1], together[2], *alone, together[2], *alone]
    greedy = stream(served.server, served.prompts[0], GREEDY | {"max_tokens": 20}).tokens
    assert stream(served.server, served.prompts[0], warm | {"top_k": 1, "top_p": 1}).tokens == greedy


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (body("a", {"max_tokens": 0}), "max_tokens is 0; expected an integer from 1"),
        (body("a", {"max_tokens": -1}), "max_tokens is -1; expected an integer from 1"),
        (body("", {}), "text_input has no tokens"),
        (body("a " * CONTEXT, {}), rf"the prompt has \d+ tokens, and the context holds {CONTEXT}"),
        (b'{"text_input": "ab\xff"}', "text_input is not valid UTF-8: invalid start byte at byte 2"),
        (body("a", {}, stream=True, exclude_input_in_output=False), "a stream holds no prompt"),
        (b'{"text_input": "a", "parameters": {"temperature": -1}}', "temperature is -1"),
    ],
    ids=["no-tokens-asked", "negative", "empty", "too-long", "not-utf8", "stream-with-prompt", "parameters"],
)
def test_what_cannot_be_served_is_a_400_that_says_why(served, data, reason):
    for path in ("generate", "generate_stream"):
        status, answer = post(served.server, path, data)
        assert status == 400
        assert re.search(reason, json.loads(answer.decode().removeprefix("data: "))["error"])


def test_a_grpc_stream_says_which_response_is_the_last_and_carries_errors(served):
    import tritonclient.grpc as grpcclient

    heard: queue.Queue[tuple[Any, Any]] = queue.Queue()

    def ask(prompt: bytes, sampling: dict[str, Any]) -> None:
        text, parameters = (grpcclient.InferInput(n, [1], "BYTES") for n in ("text_input", "sampling_parameters"))
        text.set_data_from_numpy(np.array([prompt], np.object_))
        parameters.set_data_from_numpy(np.array([json.dumps(sampling).encode()], np.object_))
        stream = grpcclient.InferInput("stream", [1], "BOOL")
        stream.set_data_from_numpy(np.array([True]))
        triton.async_stream_infer("llm", [text, parameters, stream], enable_empty_final_response=True)

    with grpcclient.InferenceServerClient(served.server.endpoint.grpc) as triton:
        triton.start_stream(lambda result, error: heard.put((result, error)))
        ask(served.prompts[0].encode(), GREEDY | {"max_tokens": 5})
        answers = [heard.get(timeout=30) for _ in range(5)]
        ask(b"ab\xff", GREEDY)
        _, error = heard.get(timeout=30)
    final = [a.get_response().parameters["triton_final_response"].bool_param for a, _ in answers]
    assert final == [False] * 4 + [True]
    text = b"".join(a.as_numpy("text_output")[0] for a, _ in answers).decode()
    assert text == whole(served.server, served.prompts[0], GREEDY | {"max_tokens": 5})["text_output"]
    assert "text_input is not valid UTF-8" in str(error)


def at_once(served, bodies):
    """The answers to requests that are all on their way before the first answer is read."""
    asked = [http.client.HTTPConnection(served.server.endpoint.http, timeout=60) for _ in bodies]
    for connection in asked:
        connection.connect()
    for connection, data in zip(asked, bodies, strict=True):
        connection.request("POST", "/v2/models/narrow/generate", data)
    return [(response.status, response.read()) for response in (connection.getresponse() for connection in asked)]


def test_more_requests_than_slots_and_queue_are_refused_at_once(served):
    long = GREEDY | {"max_tokens": CONTEXT}
    refused = metric(served.server, "requests_refused", "narrow")
    # On a busy machine the server may take them one by one: then once more.
    for _ in range(30):
        answers = at_once(served, [body(prompt, long) for prompt in served.prompts[:8]])
        if any(status == 400 for status, _ in answers):
            break
    statuses = sorted(status for status, _ in answers)
    # Triton 2.51 gives every error of its generate endpoint the status 400; the code UNAVAILABLE reaches gRPC clients.
    assert set(statuses) == {200, 400}
    assert statuses.count(200) >= 3
    words = next(json.loads(data)["error"] for status, data in answers if status == 400)
    full = r"the queue is full: (\d) requests wait and (\d) run; try again later \(queue_limit 1\)"
    found = re.fullmatch(full, words)
    assert found and int(found[1]) + int(found[2]) == 3  # two slots and one place; a slot may not be taken yet
    assert metric(served.server, "requests_refused", "narrow") - refused == statuses.count(400)
    assert until(lambda: metric(served.server, "slots_in_use", "narrow") == 0)


def test_a_client_that_goes_away_frees_its_slot_within_one_iteration(served):
    """Four streams are left after their first event. Tokens written after that was seen are counted by the server."""
    server, long = served.server, GREEDY | {"max_tokens": CONTEXT}
    before = {name: metric(server, name) for name in ("requests_cancelled", "tokens_after_cancellation")}
    finished = metric(server, "generated_tokens")
    for prompt in served.prompts[:4]:
        connection = http.client.HTTPConnection(server.endpoint.http, timeout=60)
        connection.request("POST", "/v2/models/llm/generate_stream", body(prompt, long, stream=True))
        response = connection.getresponse()
        assert response.readline().startswith(b"data: ")
        connection.sock.close()
        response.close()
    assert until(lambda: metric(server, "requests_cancelled") == before["requests_cancelled"] + 4)
    assert until(lambda: metric(server, "slots_in_use") == 0)
    assert metric(server, "tokens_after_cancellation") - before["tokens_after_cancellation"] <= 4
    assert metric(server, "generated_tokens") - finished < 4 * (CONTEXT - 40)
    assert stream(server, "a", GREEDY | {"max_tokens": 3}).finish == "length"


def test_a_server_that_is_killed_ends_its_streams(served):
    """Last of this file: the server is gone after it."""
    server, broken = served.server, threading.Event()
    connection = http.client.HTTPConnection(server.endpoint.http, timeout=60)
    connection.request(
        "POST", "/v2/models/narrow/generate_stream", body("a", GREEDY | {"max_tokens": 150}, stream=True)
    )
    response = connection.getresponse()
    assert response.readline().startswith(b"data: ")
    os.kill(server.pid, signal.SIGKILL)
    try:
        rest = response.read()
    except (http.client.HTTPException, OSError):
        broken.set()
    assert broken.is_set() or rest.count(b"data: ") < 149
    assert until(lambda: not server.is_alive)
