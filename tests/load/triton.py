"""A small repository on Triton's python backend.

An echo; one that answers the first number it got; the same, remembered by Triton; a decoupled model that answers as
often as asked.
"""

from __future__ import annotations

from pathlib import Path

ECHO = """
import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        return [pb.InferenceResponse([pb.Tensor("y", r.inputs()[0].as_numpy())]) for r in requests]
"""
COUNT = """
import time

import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            count = int(pb.get_input_tensor_by_name(request, "count").as_numpy()[0])
            for number in range(abs(count)):
                time.sleep(0.02)
                sender.send(pb.InferenceResponse([pb.Tensor("number", np.array([number], np.int32))]))
            if count < 0:
                sender.send(pb.InferenceResponse(error=pb.TritonError("counted below zero")))
            sender.send(flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
CONFIGS = {
    "echo": """
        name: "echo" backend: "python" max_batch_size: 0
        input { name: "x" data_type: TYPE_FP32 dims: -1 } output { name: "y" data_type: TYPE_FP32 dims: -1 }
        instance_group { count: 1 kind: KIND_CPU }
    """,
    "first": """
        name: "first" backend: "python" max_batch_size: 0
        input { name: "x" data_type: TYPE_FP32 dims: -1 } output { name: "y" data_type: TYPE_FP32 dims: 1 }
        instance_group { count: 2 kind: KIND_CPU }
    """,
    "cached": """
        name: "cached" backend: "python" max_batch_size: 0 response_cache { enable: true }
        input { name: "x" data_type: TYPE_FP32 dims: -1 } output { name: "y" data_type: TYPE_FP32 dims: 1 }
        instance_group { count: 1 kind: KIND_CPU }
    """,
    "count": """
        name: "count" backend: "python" max_batch_size: 0
        model_transaction_policy { decoupled: true }
        input { name: "count" data_type: TYPE_INT32 dims: 1 } output { name: "number" data_type: TYPE_INT32 dims: 1 }
        instance_group { count: 1 kind: KIND_CPU }
    """,
}
FIRST = ECHO.replace("as_numpy()", "as_numpy()[:1]")
SOURCES = {"echo": ECHO, "first": FIRST, "cached": FIRST, "count": COUNT}


def write_repository(folder: Path, *names: str) -> Path:
    """A repository with these entries."""
    for name in names:
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(CONFIGS[name])
        (folder / name / "1" / "model.py").write_text(SOURCES[name])
    return folder
