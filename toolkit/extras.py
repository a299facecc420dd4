"""Optional dependencies: imported on demand, and when absent named with the command that installs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from toolkit.errors import MissingDependency

#: import name -> the extra of pyproject.toml that brings it.
EXTRA_OF = {
    "altair": "report",
    "catboost": "boosting",
    "cuvs": "cuvs",
    "docker": "docker",
    "faiss": "recsys",
    "fsspec": "delivery",
    "h5py": "recsys",
    "pyarrow": "recsys",
    "ipywidgets": "workshop",
    "joblib": "sklearn",
    "keras": "keras",
    "lightgbm": "boosting",
    "mlperf_loadgen": "loadgen",
    "onnxmltools": "boosting",
    "onnxruntime": "cpu",
    "onnxruntime_genai": "llm",
    "onnxscript": "pytorch",
    "optuna": "tune",
    "PIL": "vision",
    "pynvml": "gpu",
    "pytriton": "embedded",
    "pandas": "sklearn",
    "skl2onnx": "sklearn",
    "sklearn": "sklearn",
    "skops": "sklearn",
    "tensorrt": "tensorrt",
    "tokenizers": "huggingface",
    "torch": "pytorch",
    "transformers": "huggingface",
    "vl_convert": "report",
    "xgboost": "boosting",
}


def require(name: str) -> ModuleType:
    """Import module `name`, or raise MissingDependency with the pip command that brings it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as err:
        if err.name is not None and err.name.split(".")[0] != name.split(".")[0]:
            raise
        extra = EXTRA_OF.get(name.split(".")[0])
        package = f"poc-toolkit[{extra}]" if extra else name
        raise MissingDependency(
            f"the Python package '{name}' is not installed", mend=f"pip install '{package}'"
        ) from err
