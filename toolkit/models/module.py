"""Whatever becomes a torch.nn.Module: the loader for each such format. Only the export worker calls this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.models.pytorch import ModelFile, load_pytorch, load_torch_pickle
from toolkit.models.source import Source


def load_module(source: Source, *, seed: int = 0, arguments: Mapping[str, Any] | None = None) -> ModelFile:
    """Load a source whose framework is one of PyTorch's. Raises ModelRefused and MissingDependency."""
    if source.framework == "torch-pickle":
        return load_torch_pickle(source)
    if source.framework == "huggingface":
        from toolkit.models.huggingface_loading import load_huggingface

        return load_huggingface(source)
    if source.framework in ("exported-program", "torchscript"):
        from toolkit.models import torch_archive

        load = (
            torch_archive.load_torchscript if source.framework == "torchscript" else torch_archive.load_exported_program
        )
        return load(source)
    if source.framework == "keras":
        from toolkit.models.keras import load_keras

        return load_keras(source)
    return load_pytorch(source, seed=seed, arguments=arguments)
