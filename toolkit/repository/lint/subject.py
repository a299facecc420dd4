"""One entry as the linter sees it: its config, the text of that, its model's own signature, and its neighbours.

In: an entry's folder, which may be broken in any way. Out: a Subject; what could not be read is said in it, not raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.errors import ConfigurationError, ModelRefused
from toolkit.repository.effective import backend_of, model_filename_of
from toolkit.repository.model_config import ModelConfig
from toolkit.repository.publish import CONFIG_FILE, version_folders
from toolkit.repository.read import read_config
from toolkit.repository.versions import served_versions
from toolkit.tensor import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`graph` is the signature of the latest ONNX file, None for other backends and where `graph_error` says why.

    `defaults` are the graph's inputs that it has a value for; `models` and `served` are the configs and the served
    versions of every entry.
    """

    path: Path
    config: ModelConfig
    config_text: str | None
    config_error: str
    graph: Signature | None
    defaults: frozenset[str]
    graph_error: str
    models: Mapping[str, ModelConfig]
    served: Mapping[str, tuple[int, ...]]

    @property
    def backend(self) -> str:
        """The backend by name, also where only the platform is given."""
        return backend_of(self.config)

    @property
    def model_filename(self) -> str:
        """The model file expected in every version folder; empty where the backend is not known."""
        return model_filename_of(self.config)

    @property
    def is_batched(self) -> bool:
        """Whether `dims` leave the batch axis out."""
        return self.config.max_batch_size > 0

    @property
    def caches(self) -> bool:
        """Whether the response cache is asked for."""
        return self.config.response_cache is not None and self.config.response_cache.enable

    @property
    def is_decoupled(self) -> bool:
        """Whether a request may have any number of responses."""
        policy = self.config.model_transaction_policy
        return policy is not None and policy.decoupled

    @property
    def versions(self) -> tuple[int, ...]:
        """The numbers of the version folders, the latest last."""
        return tuple(int(path.name) for path in version_folders(self.path))


def subjects(folders: tuple[Path, ...]) -> tuple[Subject, ...]:
    """A subject for each folder, each knowing the configs of all."""
    configs = {path.name: _config(path) for path in folders}
    models = {name: config for name, (config, _) in configs.items()}
    served = {p.name: served_versions(models[p.name], (int(v.name) for v in version_folders(p))) for p in folders}
    return tuple(_subject(path, *configs[path.name], models, served) for path in folders)


def _config(path: Path) -> tuple[ModelConfig, str]:
    try:
        return read_config(path), ""
    except ConfigurationError as err:
        return ModelConfig(name=path.name), err.message


def _subject(
    path: Path,
    config: ModelConfig,
    config_error: str,
    models: Mapping[str, ModelConfig],
    served: Mapping[str, tuple[int, ...]],
) -> Subject:
    file = path / CONFIG_FILE
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None
    subject = Subject(
        path=path,
        config=config,
        config_text=text,
        config_error=config_error,
        graph=None,
        defaults=frozenset(),
        graph_error="",
        models=models,
        served=served,
    )
    return subject if config_error else _with_graph(subject)


def _with_graph(subject: Subject) -> Subject:
    from toolkit.models.onnx import check_external_files, optional_inputs_of_model, read_onnx, signature_of_model

    versions = version_folders(subject.path)
    file = versions[-1] / subject.model_filename if versions and subject.backend == "onnxruntime" else None
    if file is None or not file.is_file():
        return subject
    try:
        model = read_onnx(file)
        check_external_files(model, file)
        optional = optional_inputs_of_model(model, file, (t.name for t in subject.config.input))
        graph = signature_of_model(model, file)
    except ModelRefused as err:
        return replace(subject, graph_error=err.message)
    graph = replace(graph, inputs=(*graph.inputs, *optional))
    return replace(subject, graph=graph, defaults=frozenset(t.name for t in optional))
