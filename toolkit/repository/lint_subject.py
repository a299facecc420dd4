"""One entry as the linter sees it: its config, the text of that, its model's own signature, and its neighbours.

In: an entry's folder, which may be broken in any way. Out: a Subject; what could not be read is said in it, not raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.errors import ConfigurationError, ModelRefused
from toolkit.repository.entry import read_config
from toolkit.repository.model_config import ModelConfig
from toolkit.repository.publish import CONFIG_FILE, version_folders
from toolkit.tensor import Signature

#: The file that a backend looks for in a version folder when the config names none.
MODEL_FILES = {"onnxruntime": "model.onnx", "python": "model.py", "tensorrt": "model.plan", "openvino": "model.xml"}
_PLATFORMS = {"onnxruntime_onnx": "onnxruntime", "tensorrt_plan": "tensorrt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`graph` is the signature of the latest ONNX file, None for other backends and where `graph_error` says why."""

    path: Path
    config: ModelConfig
    config_text: str | None
    config_error: str
    graph: Signature | None
    graph_error: str
    models: Mapping[str, ModelConfig]

    @property
    def backend(self) -> str:
        """The backend by name, also where only the platform is given."""
        return self.config.backend or _PLATFORMS.get(self.config.platform, "")

    @property
    def model_filename(self) -> str:
        """The model file expected in every version folder; empty where the backend is not known."""
        return self.config.default_model_filename or MODEL_FILES.get(self.backend, "")

    @property
    def is_batched(self) -> bool:
        """Whether `dims` leave the batch axis out."""
        return self.config.max_batch_size > 0


def subjects(folders: tuple[Path, ...]) -> tuple[Subject, ...]:
    """A subject for each folder, each knowing the configs of all."""
    configs = {path.name: _config(path) for path in folders}
    models = {name: config for name, (config, _) in configs.items()}
    return tuple(_subject(path, *configs[path.name], models) for path in folders)


def _config(path: Path) -> tuple[ModelConfig, str]:
    try:
        return read_config(path), ""
    except ConfigurationError as err:
        return ModelConfig(name=path.name), err.message


def _subject(path: Path, config: ModelConfig, config_error: str, models: Mapping[str, ModelConfig]) -> Subject:
    file = path / CONFIG_FILE
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None
    subject = Subject(
        path=path,
        config=config,
        config_text=text,
        config_error=config_error,
        graph=None,
        graph_error="",
        models=models,
    )
    return subject if config_error else _with_graph(subject)


def _with_graph(subject: Subject) -> Subject:
    from toolkit.models.onnx import signature_from_onnx

    versions = version_folders(subject.path)
    model = versions[-1] / subject.model_filename if versions and subject.backend == "onnxruntime" else None
    if model is None or not model.is_file():
        return subject
    try:
        return replace(subject, graph=signature_from_onnx(model))
    except ModelRefused as err:
        return replace(subject, graph_error=err.message)
