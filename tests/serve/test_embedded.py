from __future__ import annotations

import json
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import EnvironmentProblem, RepositoryError, ServerTrouble
from toolkit.serve import client
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Endpoint, Server
from toolkit.tensor import Signature, TensorSpec

from .conftest import TABLE, WEIGHT, linear, write_entry


@pytest.fixture
def endpoint(server: Server) -> Endpoint:
    return server.endpoint


def executions(endpoint: Endpoint, model: str) -> dict[int, int]:
    stats = client.statistics(endpoint, model)["batch_stats"]
    return {batch["batch_size"]: batch["compute_infer"]["count"] for batch in stats}


def test_the_server_says_what_it_is(server: Server, endpoint: Endpoint) -> None:
    assert server.is_alive
    assert client.is_ready(endpoint)
    assert client.is_ready(endpoint, "linear")
    assert not client.is_ready(endpoint, "absent")
    assert client.server_metadata(endpoint)["name"] == server.name
    states = {entry["name"]: entry["state"] for entry in client.repository_index(endpoint)}
    assert set(states.values()) == {"READY"}
    with urllib.request.urlopen(f"http://{endpoint.metrics}/metrics") as answer:
        assert b"nv_inference_count" in answer.read()
    assert "Started Metrics Service" in server.logs()
    assert "CudaDriverHelper" not in server.logs(1000)


def test_a_signature_has_the_batch_axis(endpoint: Endpoint) -> None:
    assert client.model_signature(endpoint, "linear") == Signature(
        inputs=(TensorSpec(name="x", dtype="FP32", shape=("batch", 4)),),
        outputs=(TensorSpec(name="y", dtype="FP32", shape=("batch", 3)),),
    )
    assert client.model_signature(endpoint, "total").inputs[0].shape == (2, "dim_1")
    assert client.model_signature(endpoint, "join").outputs[0].shape == ("batch", "dim_1")


def test_requests_of_different_rows_are_batched_and_each_gets_its_own_answer(endpoint: Endpoint) -> None:
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((1 + i % 4, 4), np.float32) for i in range(64)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda x: client.infer(endpoint, "linear", {"x": x})["y"], inputs))
    for x, y in zip(inputs, answers, strict=True):
        np.testing.assert_allclose(y, x @ WEIGHT, rtol=1e-5, atol=1e-5)
    assert max(executions(endpoint, "linear")) > 4


def test_warm_up_ran(endpoint: Endpoint) -> None:
    assert client.model_config(endpoint, "linear")["model_warmup"][0]["name"] == "ones"


def test_classes_come_with_their_labels(endpoint: Endpoint) -> None:
    best = client.infer(endpoint, "linear", {"x": np.ones((1, 4), np.float32)}, outputs=("y",), classification=2)
    assert [element.decode().split(":")[1:] for element in best["y"][0]] == [["2", "owl"], ["1", "dog"]]


def test_strings_go_in_and_come_out(endpoint: Endpoint) -> None:
    left = np.array([["a", "né"], ["", "x" * 1000]], object)
    right = np.array([["b", "→"], ["", "y"]], object)
    joined = client.infer(endpoint, "join", {"left": left, "right": right})["joined"]
    assert joined.tolist() == [
        [(a + b).encode() for a, b in zip(*pair, strict=True)] for pair in zip(left, right, strict=True)
    ]


def test_strings_are_batched_too(endpoint: Endpoint) -> None:
    def ask(i: int) -> bytes:
        text = {"left": np.array([[f"{i}-"]], object), "right": np.array([[str(i)]], object)}
        return client.infer(endpoint, "join", text)["joined"][0, 0]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))) == [f"{i}-{i}".encode() for i in range(40)]


def test_text_that_is_not_utf8_is_an_error_of_its_request(endpoint: Endpoint) -> None:
    with pytest.raises(ServerTrouble, match="utf-8"):
        client.infer(endpoint, "join", dict.fromkeys(("left", "right"), np.array([[b"\xff"]], object)))


def test_several_inputs_and_outputs_by_name(endpoint: Endpoint) -> None:
    half = np.array([[1.5, -2], [0.25, 3]], np.float16)
    whole = np.array([[1, -2], [3, 4]])
    answers = client.infer(endpoint, "several", {"whole": whole, "half": half})
    np.testing.assert_array_equal(answers["doubled"], half + half)
    np.testing.assert_array_equal(answers["positive"], whole > 0)
    np.testing.assert_array_equal(answers["sum"], whole.sum(1, keepdims=True))
    assert list(client.infer(endpoint, "several", {"whole": whole, "half": half}, outputs=("sum",))) == ["sum"]


def test_a_model_that_does_not_batch(endpoint: Endpoint) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert client.infer(endpoint, "total", {"x": x})["y"].tolist() == [15.0]


def test_one_bad_request_of_a_batch_fails_alone(endpoint: Endpoint) -> None:
    def ask(index: int) -> list[float] | str:
        try:
            return client.infer(endpoint, "lookup", {"index": np.array([[index]])})["row"].ravel().tolist()
        except ServerTrouble as err:
            return err.message

    indices = [0, 1, 99, 2, 0, 1, 2, 1]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, indices))
    assert max(executions(endpoint, "lookup")) > 1
    for index, answer in zip(indices, answers, strict=True):
        assert "out of data bounds" in answer if index == 99 else answer == TABLE[index].tolist()


def test_an_output_without_a_row_for_each_input_row_is_an_error(endpoint: Endpoint) -> None:
    np.testing.assert_array_equal(client.infer(endpoint, "uneven", {"x": np.ones((2, 1), np.float32)})["y"], [[1], [1]])
    with pytest.raises(ServerTrouble, match=r"shape \[1, 1\] for a batch of 2 rows"):
        client.infer(endpoint, "uneven", {"x": np.array([[1], [-1]], np.float32)})


def test_an_entry_without_a_config_is_completed_as_the_native_backend_does(endpoint: Endpoint) -> None:
    config = client.model_config(endpoint, "bare")
    assert (config["backend"], config["platform"], config["max_batch_size"]) == ("onnxruntime", "onnxruntime_onnx", 4)
    assert "dynamic_batching" in config
    np.testing.assert_allclose(client.infer(endpoint, "bare", {"x": np.eye(4, dtype=np.float32)})["y"], WEIGHT)


@pytest.mark.parametrize(
    ("model", "inputs", "words"),
    [
        ("absent", {"x": np.ones((1, 4), np.float32)}, "absent"),
        ("linear", {"x": np.ones((1, 5), np.float32)}, "unexpected shape"),
        ("linear", {"x": np.ones((1, 4), np.float64)}, "data-type"),
        ("linear", {"z": np.ones((1, 4), np.float32)}, "unexpected inference input 'z'"),
        ("linear", {"x": np.ones((99, 4), np.float32)}, "batch-size must be <= 16"),
    ],
)
def test_trouble_has_the_servers_own_words(
    endpoint: Endpoint, model: str, inputs: dict[str, np.ndarray], words: str
) -> None:
    with pytest.raises(ServerTrouble, match=words):
        client.infer(endpoint, model, inputs)


BASE = {
    "name": "reloaded",
    "backend": "onnxruntime",
    "max_batch_size": 8,
    "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [4]}],
    "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [3]}],
}


def parameter(key: str, value: str) -> dict[str, object]:
    return {"parameters": {key: {"string_value": value}}}


def accelerator(name: str) -> dict[str, object]:
    return {"optimization": {"execution_accelerators": {"gpu_execution_accelerator": [{"name": name}]}}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (parameter("intra_op_threads", "1"), "parameter 'intra_op_threads' is unknown"),
        (parameter("execution_mode", "2"), "'execution_mode' is '2'; expected an integer from 0 to 1"),
        (accelerator("cudnn"), "unknown Execution Accelerator 'cudnn'"),
        (
            {"output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [-1]}]},
            r"output 'y': the model has dims \[-1, 3\]",
        ),
        ({"output": [{"name": "z", "data_type": "TYPE_FP32", "dims": [3]}]}, "outputs are y; the configuration has z"),
    ],
)
def test_a_config_that_cannot_be_served_is_refused_and_the_former_one_goes_on(
    endpoint: Endpoint, change: dict[str, object], words: str
) -> None:
    with pytest.raises(ServerTrouble, match=words):
        client.load_model(endpoint, "reloaded", json.dumps(BASE | change))
    assert client.is_ready(endpoint, "reloaded")


def test_a_model_is_loaded_again_with_another_config(endpoint: Endpoint) -> None:
    batching = {"dynamic_batching": {"max_queue_delay_microseconds": 100}, "max_batch_size": 2}
    client.load_model(endpoint, "reloaded", json.dumps(BASE | batching))
    assert client.model_config(endpoint, "reloaded")["max_batch_size"] == 2
    np.testing.assert_allclose(
        client.infer(endpoint, "reloaded", {"x": np.ones((2, 4), np.float32)})["y"][1], WEIGHT.sum(0)
    )


def test_a_port_in_use_is_named(can_serve: None, repository: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(EnvironmentProblem, match=f"port {port} .* in use") as caught:
            serve_embedded(repository, grpc_port=port)
    assert str(port) in caught.value.mend


def test_what_is_not_there_is_named(can_serve: None, repository: Path, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="is not a folder"):
        serve_embedded(tmp_path / "absent")
    with pytest.raises(RepositoryError, match=r"no entry 'lineal'; there: .*linear"):
        serve_embedded(repository, models=("lineal",))


def test_a_model_that_fails_while_starting_is_named_with_its_error(can_serve: None, tmp_path: Path) -> None:
    path = write_entry(tmp_path, "broken", linear(), None)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ServerTrouble, match="failed to load 'broken' version 1: ") as caught:
        serve_embedded(tmp_path, log=tmp_path / "log.txt")
    assert "onnx runtime error" in caught.value.message
    assert "the log ends with" in caught.value.message
    assert "failed to load 'broken'" in (tmp_path / "log.txt").read_text()


def test_only_the_models_asked_for_are_loaded_and_the_cache_is_off_unless_asked_for(
    can_serve: None, repository: Path
) -> None:
    with serve_embedded(repository, models=(), cache_bytes=1_000_000) as server:
        assert {entry["name"] for entry in client.repository_index(server.endpoint)} == {
            p.name for p in repository.iterdir()
        }
        assert not client.is_ready(server.endpoint, "linear")
        assert "cache_enabled" in server.log_text()
    assert not server.is_alive
    server.close()
