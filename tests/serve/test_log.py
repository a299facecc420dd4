from __future__ import annotations

from toolkit.serve import log

FAILED = r"""
W1121 01:27:16.775072 15606 pinned_memory_manager.cc:273] "Unable to allocate pinned system memory: CUDA driver version"
E1121 01:27:16.775371 15606 server.cc:241] "CudaDriverHelper has not been initialized."
I1121 01:27:16.777337 15606 model_lifecycle.cc:472] "loading: lin:1"
I1121 01:27:17.008481 15606 pb_stub.cc:366] "Failed to initialize Python stub: TritonModelException: no\n\nAt:\n  m.py(1): f\n"
E1121 01:27:17.151621 15606 backend_model.cc:692] "ERROR: Failed to create instance: TritonModelException: no\n\nAt:\n  m.py\n"
E1121 01:27:17.151869 15606 model_lifecycle.cc:642] "failed to load 'lin' version 1: Internal: TritonModelException: no\n\nAt:\n  m.py(1): f\n"
I1121 01:27:17.224275 15606 server.cc:674] 
+-------+---------+--------+
| Model | Version | Status |
error: creating server: Internal - failed to load all models
"""  # noqa: E501
REFUSED = r"""
[libprotobuf ERROR /tmp/text_format.cc:337] Error parsing text-format inference.ModelConfig: 5:9: no field named "dimz".
E1121 01:27:28.748057 16132 model_repository_manager.cc:1460] "Poll failed for model directory 'lin': failed to read /r"
"""
BUSY = """
E1121 01:22:43.773016 12162 main.cc:257] "failed to start HTTP service: Unavailable - Socket '127.0.0.1:39069' already in use "
"""  # noqa: E501
FINE = """
E1121 01:27:16.775371 15606 server.cc:241] "CudaDriverHelper has not been initialized."
I1121 01:27:14.369523 15406 model_lifecycle.cc:839] "successfully loaded 'lin'"
I1121 01:27:14.577785 15406 http_server.cc:362] "Started Metrics Service at 127.0.0.1:42133"
"""


def test_errors_are_said_once_in_the_models_own_words() -> None:
    assert log.errors(FAILED) == ("failed to load 'lin' version 1: no",)
    assert log.errors(REFUSED) == (
        'Error parsing text-format inference.ModelConfig: 5:9: no field named "dimz".',
        "Poll failed for model directory 'lin': failed to read /r",
    )
    assert log.errors(FINE) == ()


def test_only_what_ends_a_start_is_fatal() -> None:
    assert [log.is_fatal(text) for text in (FAILED, REFUSED, BUSY, FINE)] == [True, True, True, False]
    assert [log.port_taken(text) for text in (FAILED, REFUSED, BUSY, FINE)] == [False, False, True, False]


def test_the_tail_leaves_out_what_a_machine_without_a_gpu_always_says() -> None:
    assert log.tail(FINE, 40).splitlines() == FINE.splitlines()[2:]
    assert log.tail(FINE, 1) == FINE.splitlines()[3]
    assert not any(word in log.tail(FAILED, 40) for word in ("Cuda", "CUDA", "| Model", "Failed to create"))
