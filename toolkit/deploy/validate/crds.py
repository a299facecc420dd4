"""Whether an object of an operator has only the fields that its custom resource definition has.

In: an object. Out: an error, or silence. crds/*.yaml hold the field tables, transcribed by hand from the source and
release that each names, in the notation that `schema_from_table` reads. Every object in them is closed: an unknown
field is an error, where an API server would drop it in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import yaml

from toolkit.deploy.validate.documents import Object
from toolkit.deploy.validate.kubernetes import DEFINITIONS, RELEASES, core_registry, first_problem
from toolkit.errors import ConfigurationError

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

#: A duration as Prometheus writes it. Source: the pattern of monitoring.coreos.com/v1 Duration.
_DURATION = (
    r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$"  # no named part
)
_QUANTITY = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"

#: The scalars of a table. `object` is a part that was not transcribed and may hold anything.
_SCALARS: dict[str, dict[str, Any]] = {
    **{name: {"type": name} for name in ("string", "integer", "number", "boolean", "object")},
    "map": {"type": "object", "additionalProperties": {"type": "string"}},
    "lists": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
    "name or number": {"type": ["string", "integer"]},
    "quantity": {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": _QUANTITY}]},
    "duration": {"type": "string", "pattern": _DURATION},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTable:
    """The fields of one kind of an operator, and where they were read."""

    operator: str
    release: str
    source: str
    api_version: str
    kind: str
    spec: Mapping[str, Any]


@cache
def field_tables() -> Mapping[tuple[str, str], FieldTable]:
    """The transcribed kinds by apiVersion and kind. Raises ConfigurationError for a table that cannot be read."""
    files = sorted(f.name for f in _folder().iterdir() if f.name.endswith(".yaml"))
    tables = (table for name in files for table in _tables(name))
    return {(t.api_version, t.kind): t for t in tables}


def check_operator_object(subject: Object) -> None:
    """Raise ValueError for an object of an unknown kind, or with a field that its kind has not or that it lacks."""
    table = field_tables().get((subject.api_version, subject.kind))
    if table is None:
        known = ", ".join(f"{t.kind} of {t.api_version}" for t in field_tables().values())
        raise ValueError(f"{subject.kind} of {subject.api_version} is none of the kinds that are known: {known}")
    if problem := first_problem(_validator(table.api_version, table.kind), subject.data):
        raise ValueError(f"{table.operator} {table.release}: {problem}")


def schema_from_table(table: Any) -> dict[str, Any]:
    """The JSON schema of a table: a mapping is a closed object, `name!` a field that must be there, `[x]` an array.

    A scalar is a word of _SCALARS, `one of a, b`, or `core TYPE` for a part of Kubernetes itself; a field named `+` is
    a core type whose fields are the object's own, none of them needed.
    """
    if isinstance(table, list):
        return {"type": "array", "items": schema_from_table(table[0])}
    if isinstance(table, Mapping):
        return _object_schema(table)
    if str(table).startswith("core "):
        return {"$ref": f"{DEFINITIONS}#/$defs/{str(table).removeprefix('core ')}"}
    if str(table).startswith("one of "):
        return {"enum": re.split(r",\s*", str(table).removeprefix("one of "))}
    if table not in _SCALARS:
        raise ConfigurationError(f"a field table names {table!r}; known are {', '.join(_SCALARS)}")
    return _SCALARS[table]


def _object_schema(table: Mapping[str, Any]) -> dict[str, Any]:
    inlined = _core_fields(table["+"]) if "+" in table else {}
    own = {name.removesuffix("!"): schema_from_table(field) for name, field in table.items() if name != "+"}
    return {
        "type": "object",
        "properties": inlined | own,
        "required": [name.removesuffix("!") for name in table if name.endswith("!")],
        "additionalProperties": False,
    }


def _core_fields(core: str) -> dict[str, Any]:
    reference = f"{DEFINITIONS}#/$defs/{core.removeprefix('core ')}"
    contents = core_registry(RELEASES[-1]).resolver().lookup(reference).contents
    return {name: {"$ref": f"{reference}/properties/{name}"} for name in contents["properties"]}


@cache
def _validator(api_version: str, kind: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    whole = {
        "apiVersion!": f"one of {api_version}",
        "kind!": f"one of {kind}",
        "metadata!": "core io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "spec!": field_tables()[api_version, kind].spec,
    }
    return Draft202012Validator(schema_from_table(whole), registry=core_registry(RELEASES[-1]))


def _folder() -> Any:
    return resources.files("toolkit.deploy.validate") / "crds"


def _tables(name: str) -> list[FieldTable]:
    data = yaml.safe_load((_folder() / name).read_text(encoding="utf-8"))
    return [
        FieldTable(
            operator=data["operator"],
            release=str(data["release"]),
            source=kind["source"],
            api_version=kind["apiVersion"],
            kind=kind["kind"],
            spec=kind["spec"],
        )
        for kind in data["kinds"]
    ]
