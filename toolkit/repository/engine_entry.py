"""The configuration of a TensorRT entry: that of the ONNX entry, without what only ONNX Runtime reads.

In: the ONNX entry's config, and the artifact's folder with the engine's stamp. Out: a ModelConfig that asks for no more
rows than the engine was built for. An engine runs on the GPUs it was built for and on no CPU: the entry says KIND_GPU.
Source: triton-inference-server/tensorrt_backend, README.md; model_config.proto.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from toolkit.errors import ConfigurationError
from toolkit.export.engine import STAMP_FILE, EngineStamp
from toolkit.records import read_json
from toolkit.repository.model_config import ModelConfig, ModelInstanceGroup


def rows_for_engine(folder: Path, asked: int | None) -> int | None:
    """The max_batch_size of an engine that Triton may batch: `asked`, else the largest of its profile.

    None where neither is known. Raises ConfigurationError for more than the profile takes: the backend would refuse it.
    """
    most = most_rows_of(folder)
    if asked is not None and most is not None and asked > most:
        raise ConfigurationError(
            f"{folder}: max_batch_size {asked} is above the {most} rows that the engine was built for",
            mend="build the engine again for that batch, or lower max_batch_size",
        )
    return most if asked is None else asked


def config_for_engine(config: ModelConfig) -> ModelConfig:
    """`config` for the `tensorrt` backend and the one profile of an engine."""
    return dataclasses.replace(
        config,
        platform="tensorrt_plan",
        backend="tensorrt",
        parameters={},
        optimization=None,
        instance_group=(ModelInstanceGroup(count=1, kind="KIND_GPU", profile=("0",)),),
    )


def most_rows_of(folder: Path) -> int | None:
    """The largest batch that the engine in a folder was built for; None where no stamp says it.

    Raises ConfigurationError for a stamp that cannot be read.
    """
    file = folder / STAMP_FILE
    return (read_json(file, EngineStamp).most_rows or None) if file.is_file() else None
