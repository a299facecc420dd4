"""Strategic merge patches as kustomize applies them, for the fields that our bundles patch. Pure.

In: an object and a patch as parsed YAML. Out: the patched object. Lists of built-in kinds merge by their key, every
other list is replaced, as are all lists of custom kinds. A directive or a list that is not known here is refused.
Source: patchMergeKey in k8s.io/api/core/v1/types.go; kyaml/yaml/merge2.
"""

from __future__ import annotations

from typing import Any

from toolkit.errors import ConfigurationError

#: The key that tells the elements of a list apart, by (the field that holds the parent, the list's own field).
_KEYS = {
    ("spec", "containers"): "name",
    ("spec", "initContainers"): "name",
    ("spec", "volumes"): "name",
    ("spec", "imagePullSecrets"): "name",
    ("spec", "topologySpreadConstraints"): "topologyKey",
    ("containers", "env"): "name",
    ("containers", "ports"): "containerPort",
    ("containers", "volumeMounts"): "mountPath",
    ("initContainers", "env"): "name",
    ("initContainers", "ports"): "containerPort",
    ("initContainers", "volumeMounts"): "mountPath",
}
_SERVICE_KEYS = {("spec", "ports"): "port"}

#: Lists of built-in kinds that have no key: a patch replaces them whole.
_WHOLE = frozenset(("args", "command", "envFrom", "tolerations", "ingress", "egress", "drop", "add", "policyTypes"))

_BUILT_IN = ("apps/", "batch/", "policy/", "autoscaling/", "networking.k8s.io/", "v1")

_DIRECTIVE = "$patch"


def merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any] | None:
    """`target` with `patch` applied; None when the patch deletes it. Raises ConfigurationError for an unknown list."""
    if _is_deleted(patch):
        return None
    version = str(target.get("apiVersion", ""))
    keys = None
    if version.startswith(_BUILT_IN):
        keys = {**_KEYS, **(_SERVICE_KEYS if target.get("kind") == "Service" else {})}
    return _merged_map(target, patch, "", keys)


def _merged_map(target: dict[str, Any], patch: dict[str, Any], field: str, keys: Any) -> dict[str, Any]:
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = result.get(name)
            result[name] = _merged_map(old if isinstance(old, dict) else {}, value, name, keys)
        elif isinstance(value, list):
            result[name] = _merged_list(result.get(name) or [], value, (field, name), keys)
        else:
            result[name] = _checked(name, value)
    return result


def _merged_list(target: list[Any], patch: list[Any], place: tuple[str, str], keys: Any) -> list[Any]:
    """The elements of the patch come first, in its order, as kustomize puts them."""
    key = None if keys is None else keys.get(place)
    if key is None:
        if keys is not None and target and place[1] not in _WHOLE:
            raise ConfigurationError(
                f"a patch of the list {'.'.join(place)} is not known", mend="patch a field above it"
            )
        return patch
    old = {element[key]: element for element in target}
    changed = {element[key]: element for element in patch}
    kept = {
        name: _merged_map(old.get(name, {}), e, place[1], keys) for name, e in changed.items() if not _is_deleted(e)
    }
    return [*kept.values(), *(element for name, element in old.items() if name not in changed)]


def _is_deleted(patch: dict[str, Any]) -> bool:
    if _DIRECTIVE in patch and patch[_DIRECTIVE] != "delete":
        raise ConfigurationError(f"the directive {_DIRECTIVE}: {patch[_DIRECTIVE]} is not known", mend="use delete")
    return _DIRECTIVE in patch


def _checked(name: str, value: Any) -> Any:
    if name.startswith("$"):
        raise ConfigurationError(f"the directive {name} is not known here", mend="of the directives use $patch: delete")
    return value
