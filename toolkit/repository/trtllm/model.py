"""Hands over to the LLM API model of the image that serves it, so that an entry fits every release of the image.

The image brings model.py and its helpers in LLMAPI; the copy of another release would call another library.
"""

import importlib.util
import os
import sys
from pathlib import Path

LLMAPI = Path(os.environ.get("TRTLLM_LLMAPI_MODEL", "/app/all_models/llmapi/tensorrt_llm/1"))

if not (LLMAPI / "model.py").is_file():
    raise FileNotFoundError(
        f"{LLMAPI}/model.py is not in this image: use a tritonserver ...-trtllm-python-py3 image, or set"
        " TRTLLM_LLMAPI_MODEL to triton_backend/all_models/llmapi/tensorrt_llm/1 of TensorRT-LLM's own release"
    )
sys.path.insert(0, str(LLMAPI))
spec = importlib.util.spec_from_file_location("trtllm_llmapi_model", LLMAPI / "model.py")
theirs = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = theirs
spec.loader.exec_module(theirs)
TritonPythonModel = theirs.TritonPythonModel
