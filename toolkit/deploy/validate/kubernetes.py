"""Whether an object is one that Kubernetes knows, field by field, in every release that is still served.

In: an object. Out: an error, or silence. The schemas are those of the package kubernetes-validate, in which every
object is closed. Its own command lets an unknown kind pass with a warning; here that is an error. It is not asked about
the kinds of operators (crds.py).
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from importlib import resources
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from toolkit.deploy.validate.documents import Object

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from referencing import Registry

#: What the cloud providers still sold, with extended support, in autumn 2026.
RELEASES = tuple(f"1.{minor}" for minor in range(29, 38))

#: `apps`, `batch` ... and what ends so belongs to Kubernetes itself, but for the kinds that SIGs ship on their own.
#: Source: https://kubernetes.io/docs/reference/using-api/#api-groups
_CORE_GROUP = re.compile(r"[a-z]*|(?!gateway\.networking|snapshot\.storage|metrics)[a-z0-9.]+\.k8s\.io")

DEFINITIONS = "https://kubernetes.io/api/_definitions.json"


def is_here() -> bool:
    """Whether the schemas are installed."""
    return find_spec("kubernetes_validate") is not None


def is_core(subject: Object) -> bool:
    """Whether the group of an object belongs to Kubernetes itself."""
    group = subject.api_version.rpartition("/")[0]
    return _CORE_GROUP.fullmatch(group) is not None


def check_core_object(subject: Object) -> None:
    """Raise ValueError for an object that a release of RELEASES refuses, naming the releases and the field."""
    if problem := _problems(json.dumps(subject.data, sort_keys=True, default=str)):
        raise ValueError(problem)


@lru_cache(maxsize=4096)
def _problems(text: str) -> str:
    """What the releases refuse in an object. The renderings of a bundle have most of their objects in common."""
    subject, refused = Object(file="", data=json.loads(text)), dict[str, list[str]]()
    for release in RELEASES:
        if problem := _problem(subject, release):
            refused.setdefault(problem, []).append(release)
    return "; ".join(f"Kubernetes {_span(releases)}: {problem}" for problem, releases in refused.items())


def _span(releases: list[str]) -> str:
    return releases[0] if len(releases) == 1 else f"{releases[0]} to {releases[-1]}"


def _problem(subject: Object, release: str) -> str:
    validator = _validator(release, subject.kind, subject.api_version)
    if validator is None:
        return f"there is no kind {subject.kind} in {subject.api_version}"
    return first_problem(validator, subject.data)


def first_problem(validator: Draft202012Validator, data: Any) -> str:
    """The most telling error of `data`, with the path to it; empty when there is none."""
    from jsonschema.exceptions import best_match

    error = best_match(validator.iter_errors(data))
    return "" if error is None else f"{'.'.join(map(str, error.absolute_path)) or 'the document'}: {error.message}"


@cache
def _validator(release: str, kind: str, api_version: str) -> Draft202012Validator | None:
    from jsonschema import Draft202012Validator

    group, _, version = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part)
    file = _folder(release) / f"{name}.json"
    if not re.fullmatch(r"[a-z0-9-]+", name) or not file.is_file():
        return None
    schema = json.loads(file.read_text(encoding="utf-8"))
    # Parts of objects (a Container) have files too, and the file's name holds less than the group.
    known = {"group": group, "kind": kind, "version": version}
    if known not in schema.get("x-kubernetes-group-version-kind", ()):
        return None
    return Draft202012Validator(schema, registry=core_registry(release))


def _folder(release: str) -> Any:
    return resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{release}.0-local-strict"


@cache
def core_registry(release: str) -> Registry[Any]:
    """The parts that the schemas of a release refer to, under DEFINITIONS."""
    from referencing import Registry, Resource

    definitions = json.loads((_folder(release) / "_definitions.json").read_text(encoding="utf-8"))
    return (Resource.from_contents(definitions) @ Registry[Any]()).crawl()
