"""`kubectl kustomize` for the part of kustomize that our bundles use. Pure: files in memory in, objects out.

Known are `resources` (files and folders), `components` and `patches` (strategic merge, by path); every other field of a
kustomization is refused, so that what is rendered here is what kubectl renders. Tests compare the two.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from toolkit.deploy.kubernetes.merge import merged
from toolkit.deploy.validate.documents import yaml_documents
from toolkit.errors import ConfigurationError

Files = Mapping[str, str | bytes]
Object = dict[str, Any]
#: What tells objects apart: apiVersion, kind, namespace, name.
Identity = tuple[str, str, str, str]

_KINDS = {"Kustomization": "kustomize.config.k8s.io/v1beta1", "Component": "kustomize.config.k8s.io/v1alpha1"}
_FIELDS = frozenset(("apiVersion", "kind", "resources", "components", "patches"))


def rendered(files: Files, folder: str) -> tuple[Object, ...]:
    """The objects of the kustomization in `folder`, in the order in which they are named.

    Raises ConfigurationError for a path that is not in `files`, an object that is there twice, a patch without its
    object, and any part of kustomize that is not known here.
    """
    return tuple(_accumulated(files, folder, {}).values())


def identity(item: Object) -> Identity:
    """What tells an object apart from all others of a cluster. Raises ConfigurationError where it has no name."""
    try:
        metadata = item["metadata"]
        return item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"]
    except (KeyError, TypeError) as err:
        raise ConfigurationError(f"an object has no apiVersion, kind or metadata.name: {item!r:.200}") from err


def objects_of(files: Files, path: str) -> Iterator[Object]:
    """The objects of a YAML file. Raises ConfigurationError."""
    content = files.get(path)
    if content is None:
        raise ConfigurationError(f"{path} is named by a kustomization and is not there")
    try:
        yield from _parsed(content.decode() if isinstance(content, bytes) else content)
    except ValueError as err:
        raise ConfigurationError(f"{path}: {err}") from err


@lru_cache(maxsize=128)
def _parsed(text: str) -> tuple[Any, ...]:
    """The base is read once for all its overlays. Nothing changes an object: patches make new ones."""
    return yaml_documents(text)


def manifest(items: tuple[Object, ...]) -> str:
    """Objects as a stream of YAML documents: no anchors, texts of several lines as blocks."""
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    return yaml.dump_all(items, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120, explicit_start=True)


def _accumulated(files: Files, folder: str, found: dict[Identity, Object]) -> dict[Identity, Object]:
    """`found`, with what the kustomization in `folder` adds and patches."""
    path = f"{folder}/kustomization.yaml"
    kustomization = next(objects_of(files, path), {})
    _check(kustomization, path)
    for name in kustomization.get("resources", ()):
        place = _within(folder, name)
        added = _accumulated(files, place, {}).values() if not place.endswith(".yaml") else objects_of(files, place)
        for item in added:
            if identity(item) in found:
                raise ConfigurationError(f"{path}: {' '.join(identity(item))} is there already")
            found[identity(item)] = item
    for name in kustomization.get("components", ()):
        found = _accumulated(files, _within(folder, name), found)
    for patch in kustomization.get("patches", ()):
        found = _patched(found, _only(files, _within(folder, patch["path"])), path)
    return found


def _check(kustomization: Object, path: str) -> None:
    if unknown := kustomization.keys() - _FIELDS:
        raise ConfigurationError(f"{path}: {min(unknown)} is not known here", mend=f"use {', '.join(sorted(_FIELDS))}")
    if _KINDS.get(kustomization.get("kind", "")) != kustomization.get("apiVersion"):
        raise ConfigurationError(f"{path}: its kind and apiVersion do not belong together")
    if any(set(patch) != {"path"} for patch in kustomization.get("patches", ())):
        raise ConfigurationError(f"{path}: a patch has a path and nothing else")


def _within(folder: str, name: str) -> str:
    place = posixpath.normpath(f"{folder}/{name}")
    if place.startswith(("../", "/")) or place == "..":
        raise ConfigurationError(f"{folder}/kustomization.yaml: {name} leaves the bundle")
    return place


def _only(files: Files, path: str) -> Object:
    items = tuple(objects_of(files, path))
    if len(items) != 1:
        # kubectl 1.32 crashes on a file with two `$patch: delete`.
        raise ConfigurationError(f"{path} holds {len(items)} patches", mend="one file for each patch")
    return items[0]


def _patched(found: dict[Identity, Object], change: Object, path: str) -> dict[Identity, Object]:
    target = identity(change)
    if target not in found:
        raise ConfigurationError(f"{path}: a patch is for {' '.join(target)}, which is not there")
    patched = {key: merged(item, change) if key == target else item for key, item in found.items()}
    return {key: item for key, item in patched.items() if item is not None}
