"""The YAML documents of a bundle: read strictly, and named so that a finding can say which one it is about.

In: texts by path. Out: data. This module does not know what a document means.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

YAML_SUFFIXES = (".yaml", ".yml")


#: libyaml's parser is ten times as fast, and a bundle has a hundred files; not every build of PyYAML has it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_Loader):  # type: ignore[misc]
    """Refuses a key that stands twice: YAML takes the last, and the first is a setting that somebody believes in."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [k.value for k, _ in node.value if isinstance(k, yaml.ScalarNode) and k.value != "<<"]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {min(twice)!r} stands twice in one mapping", node.start_mark
            )
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


def yaml_documents(text: str) -> tuple[Any, ...]:
    """Every document that is not empty. Raises ValueError for what is no YAML or holds a key twice."""
    try:
        return tuple(d for d in yaml.load_all(text, _StrictLoader) if d is not None)
    except yaml.YAMLError as err:
        raise ValueError(str(err)) from err


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """A Kubernetes object, or what claims to be one, and the file that it stands in."""

    file: str
    data: Mapping[str, Any]

    @property
    def api_version(self) -> str:
        """Group and version, or the version of the core group."""
        return str(self.data.get("apiVersion"))

    @property
    def kind(self) -> str:
        """As the document says it."""
        return str(self.data.get("kind"))

    @property
    def name(self) -> str:
        """Kind and name, as kubectl writes them."""
        metadata = self.data.get("metadata")
        return f"{self.kind}/{metadata.get('name')}" if isinstance(metadata, Mapping) else self.kind


def kubernetes_objects(texts: Mapping[str, str]) -> tuple[Object, ...]:
    """Every document below kubernetes/ that is applied as it stands: all but kustomize's own files and its patches.

    A patch is part of an object; it is judged in what kustomize makes of it (`rendered/`). Files that are not YAML
    are left out: their own finding says so.
    """
    readable = {path: documents for path, documents in _readable(texts) if path.startswith("kubernetes/")}
    patches = set(_patch_files(readable))
    return tuple(
        Object(file=path, data=data)
        for path, documents in readable.items()
        for data in documents
        if path not in patches and isinstance(data, Mapping) and not is_kustomization(data)
    )


def is_kustomization(data: Mapping[str, Any]) -> bool:
    """Whether a document is kustomize's own: read by it, never applied."""
    return str(data.get("apiVersion")).startswith("kustomize.config.k8s.io/")


def _readable(texts: Mapping[str, str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for path, text in texts.items():
        if path.endswith(YAML_SUFFIXES):
            try:
                yield path, yaml_documents(text)
            except ValueError:
                continue


def _patch_files(readable: Mapping[str, tuple[Any, ...]]) -> Iterator[str]:
    for path, documents in readable.items():
        folder = path.rpartition("/")[0]
        for data in documents:
            if isinstance(data, Mapping) and is_kustomization(data):
                yield from (f"{folder}/{p['path']}" for p in data.get("patches", ()) if "path" in p)
