"""What lies below `kubernetes/` in the bundle of every server: overlays as kustomizations, and what each renders to.

In: names, and the filled templates. Out: texts by their path in the bundle. This module knows no overlay by name.
"""

from __future__ import annotations

from collections.abc import Iterable

from toolkit.deploy.kubernetes.kustomize import Files, manifest, rendered


def overlay_path(name: str) -> str:
    """Where an overlay's kustomization lies."""
    return f"kubernetes/overlays/{name}/kustomization.yaml"


def overlay_text(purpose: str, components: tuple[str, ...]) -> str:
    """The kustomization of the base with these components; `purpose` is a phrase."""
    named = "".join(f"  - ../../components/{name}\n" for name in components)
    return (
        f"# {purpose[0].upper()}{purpose[1:]}.\n"
        "apiVersion: kustomize.config.k8s.io/v1beta1\n"
        "kind: Kustomization\n"
        "resources:\n"
        "  - ../../base\n" + (f"components:\n{named}" if components else "")
    )


def rendered_files(files: Files, overlays: Iterable[str]) -> dict[str, str | bytes]:
    """The base and each overlay as one manifest, below `kubernetes/rendered/`. Raises ConfigurationError."""
    folders = {"base": "kubernetes/base"} | {name: f"kubernetes/overlays/{name}" for name in overlays}
    origin = "# What kustomize makes of {}. Change the files there, not this one.\n"
    return {
        f"kubernetes/rendered/{name}.yaml": origin.format(folder) + manifest(rendered(files, folder))
        for name, folder in folders.items()
    }
