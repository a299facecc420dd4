"""The Kubernetes and KServe targets: a kustomize base of core kinds, components, overlays made of them, all rendered.

In: a DeploymentSpec. Out: files by their path below `kubernetes/` of a bundle. Nothing is started or applied.
"""

from __future__ import annotations

from toolkit.deploy.kubernetes.overlays import has_gpu
from toolkit.deploy.kubernetes.target import kubernetes_bundle

__all__ = ["has_gpu", "kubernetes_bundle"]
