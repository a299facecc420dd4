"""The configuration of a TensorRT entry: that of the ONNX entry, without what only ONNX Runtime reads.

In: the ONNX entry's config, and the artifact's folder with the engine's stamp. Out: a ModelConfig.
Source: triton-inference-server/tensorrt_backend, README.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.export.engine import STAMP_FILE, EngineStamp
from toolkit.records import read_json
from toolkit.repository.model_config import ModelConfig


def config_for_engine(config: ModelConfig, folder: Path, partial: Mapping[str, Any]) -> ModelConfig:
    """`config` for the `tensorrt` backend, its largest batch that of the engine's profile unless `partial` names one.

    The backend refuses a max_batch_size beyond the profile.
    """
    most = read_json(folder / STAMP_FILE, EngineStamp).most_rows
    size = most if most and config.max_batch_size and "max_batch_size" not in partial else config.max_batch_size
    return dataclasses.replace(config, backend="tensorrt", max_batch_size=size, parameters={}, optimization=None)
