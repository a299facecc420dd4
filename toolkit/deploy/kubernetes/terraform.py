"""GPU nodes for an existing cluster of AWS, Google or Azure: the Terraform part of a Kubernetes bundle.

In: a DeploymentSpec. Out: files below `terraform/`. Nothing is planned or applied, and no credential is written: the
providers take them from the environment. What is selected by which label stands in kubernetes/overlays.
"""

from __future__ import annotations

from typing import Any

from toolkit.deploy.kubernetes.values import tag_of
from toolkit.deploy.rendering import render
from toolkit.deploy.spec import DeploymentSpec

CLOUDS = ("aws", "gcp", "azure")

#: The server's image unpacked and pulled beside its successor, and room for logs. An assumption.
_DISK_GIB = 100
_GIB = 2**30

#: One node may go away, as with the replicas, and the bill has an end.
_MIN_NODES, _MAX_NODES = 1, 3


def terraform_files(spec: DeploymentSpec, model_bytes: int) -> dict[str, str | bytes]:
    """The configuration of each cloud, by its path in the bundle."""
    values = _values(spec, model_bytes)
    return {f"terraform/{cloud}/main.tf": render(f"terraform/{cloud}/main.tf.j2", values[cloud]) for cloud in CLOUDS}


def _values(spec: DeploymentSpec, model_bytes: int) -> dict[str, dict[str, Any]]:
    # A label of Google's has lower-case letters, digits, '-' and '_', 63 at most.
    tags = {"poc": spec.slug, "run": tag_of(spec.run_id).lower()}
    shared = {
        "tags": tags,
        "labels": {f"poc-toolkit/{key}": value for key, value in tags.items()},
        "min_nodes": _MIN_NODES,
        "max_nodes": _MAX_NODES,
        "disk_gib": _DISK_GIB + -(-3 * model_bytes // _GIB),
    }
    # A pool of AKS has twelve letters and digits at most, so it is not named after the PoC.
    named = shared | {"pool": f"{spec.slug[:36].rstrip('-')}-gpu"}
    return {"aws": named, "gcp": named, "azure": shared}
