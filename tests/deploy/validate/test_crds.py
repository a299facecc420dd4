"""Kinds of operators: closed objects, and field tables that agree with the real definitions where these are at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolkit.deploy.validate.crds import FieldTable, check_operator_object, field_tables, schema_from_table
from toolkit.deploy.validate.documents import Object
from toolkit.errors import ConfigurationError

pytest.importorskip("kubernetes_validate")

PROMETHEUS = {"type": "prometheus", "metadata": {"query": "up", "threshold": "1"}}
CONTAINER = {"name": "kserve-container", "image": "i:1"}


def made(api_version: str, kind: str, spec: Any) -> Object:
    data = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec}
    return Object(file="kubernetes/a.yaml", data=data)


GOOD = [
    made("keda.sh/v1alpha1", "ScaledObject", {"scaleTargetRef": {"name": "a"}, "triggers": [PROMETHEUS]}),
    made("monitoring.coreos.com/v1", "PodMonitor", {"selector": {}, "podMetricsEndpoints": [{"interval": "15s"}]}),
    made("monitoring.coreos.com/v1", "PrometheusRule", {"groups": [{"name": "a", "rules": [{"expr": "up"}]}]}),
    made("serving.kserve.io/v1alpha1", "ServingRuntime", {"containers": [CONTAINER]}),
    made(
        "serving.kserve.io/v1beta1",
        "InferenceService",
        {"predictor": {"minReplicas": 1, "model": {"modelFormat": {"name": "t"}, "resources": {}}, "tolerations": []}},
    ),
]


def changed(subject: Object, **spec: Any) -> Object:
    return Object(file=subject.file, data={**subject.data, "spec": {**subject.data["spec"], **spec}})


@pytest.mark.parametrize("subject", GOOD, ids=lambda o: o.kind)
def test_a_good_one_passes_and_an_unknown_field_is_refused(subject: Object) -> None:
    check_operator_object(subject)
    with pytest.raises(ValueError, match="unexpected"):
        check_operator_object(changed(subject, fieldThatIsNot=1))


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (changed(GOOD[0], triggers=[{"type": "prometheus"}]), "'metadata' is a required"),
        (changed(GOOD[0], triggers=[{**PROMETHEUS, "metadata": {"threshold": 1}}]), "not of type 'string'"),
        (changed(GOOD[0], advanced={"horizontalPodAutoscalerConfig": {"behavior": {"scaleUpp": {}}}}), "scaleUpp"),
        (changed(GOOD[1], podMetricsEndpoints=[{"interval": "15 s"}]), "does not match"),
        (changed(GOOD[1], podMetricsEndpoints=[{"scheme": "ftp"}]), "not one of"),
        (changed(GOOD[3], containers=[{**CONTAINER, "imagePullPolice": "Always"}]), "imagePullPolice"),
        (changed(GOOD[4], predictor={"model": {"modelFormat": {"name": "t"}, "gpu": 1}}), "gpu"),
        (made("keda.sh/v1", "ScaledObject", {}), "none of the kinds that are known"),
        (made("example.com/v1", "Thing", {}), "none of the kinds that are known"),
    ],
)
def test_what_the_operator_would_drop_or_refuse_is_an_error(subject: Object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_operator_object(subject)


def test_every_table_names_its_source_and_can_be_read() -> None:
    for table in field_tables().values():
        assert table.source
        assert table.release
        schema_from_table(table.spec)


def test_a_word_that_means_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'strin'"):
        schema_from_table({"a": "strin"})


@pytest.mark.parametrize("table", field_tables().values(), ids=lambda t: t.kind)
def test_a_table_agrees_with_the_real_definition(table: FieldTable) -> None:
    folder = os.environ.get("TOOLKIT_CRDS")
    if not folder:
        pytest.skip("TOOLKIT_CRDS does not name a folder with the operators' custom resource definitions")
    real = real_schema(Path(folder), table)
    if real is None:
        pytest.skip(f"{folder} has no definition of {table.kind} {table.api_version}")
    assert list(differences(schema_from_table(table.spec), real["properties"]["spec"], "spec")) == []


def real_schema(folder: Path, table: FieldTable) -> dict[str, Any] | None:
    group, _, version = table.api_version.partition("/")
    for path in sorted(folder.rglob("*.yaml")):
        for crd in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            spec = (crd or {}).get("spec", {})
            if (spec.get("group"), spec.get("names", {}).get("kind")) == (group, table.kind):
                found = next((v for v in spec["versions"] if v["name"] == version), None)
                return None if found is None else dict(found["schema"]["openAPIV3Schema"])
    return None


def differences(ours: dict[str, Any], real: dict[str, Any], path: str) -> Iterator[str]:
    """Fields of ours that the operator has not, fields it needs and we do not ask for, and types that differ.

    Parts of Kubernetes itself and parts that were not transcribed are not compared.
    """
    if "$ref" in ours or ours == {"type": "object"}:
        return
    if "items" in ours:
        yield from differences(ours["items"], real.get("items", {}), f"{path}[]")
    elif "properties" in ours:
        theirs = real.get("properties", {})
        yield from (f"{path}.{name} is not in the definition" for name in ours["properties"].keys() - theirs.keys())
        yield from (f"{path} needs {name}" for name in set(real.get("required", ())) - set(ours["required"]))
        for name in ours["properties"].keys() & theirs.keys():
            yield from differences(ours["properties"][name], theirs[name], f"{path}.{name}")
    elif "enum" in ours and "enum" in real:
        yield from (f"{path} may be {word}" for word in set(ours["enum"]) ^ set(real["enum"]))
    elif isinstance(ours.get("type"), str) and ours["type"] != real.get("type"):
        yield f"{path} is of type {real.get('type')}"


def test_the_comparison_finds_each_kind_of_difference() -> None:
    ours = schema_from_table({"a": "string", "b": "integer", "c": ["one of x, y"], "d": {"e": "map"}})
    text, number = {"type": "string"}, {"type": "integer"}
    real = {
        "properties": {
            "a": number,
            "c": {"items": {"enum": ["x"]}},
            "d": {"properties": {"e": text}, "required": ["f"]},
        },
        "required": ["a"],
    }
    assert sorted(differences(ours, real, "spec")) == [
        "spec needs a",
        "spec.a is of type integer",
        "spec.b is not in the definition",
        "spec.c[] may be y",
        "spec.d needs f",
        "spec.d.e is of type string",
    ]
