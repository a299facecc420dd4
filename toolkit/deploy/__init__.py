"""Deployment bundles: a DeploymentSpec becomes a Bundle (paths and texts), which is validated, then written.

A target is a function of a DeploymentSpec. Nothing here starts a server or measures anything.
"""

from __future__ import annotations

from toolkit.deploy.bundle import Bundle, write_bundle
from toolkit.deploy.compose import compose_bundle
from toolkit.deploy.smoke import SmokeRequest
from toolkit.deploy.spec import DeploymentSpec, Figures, step_requirements
from toolkit.deploy.validate import Finding, validate_bundle, validate_folder

__all__ = [
    "Bundle",
    "DeploymentSpec",
    "Figures",
    "Finding",
    "SmokeRequest",
    "compose_bundle",
    "step_requirements",
    "validate_bundle",
    "validate_folder",
    "write_bundle",
]
