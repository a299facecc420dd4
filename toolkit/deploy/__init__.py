"""Deployment bundles: a DeploymentSpec becomes a Bundle (paths and texts), which is validated, then written.

A target is a function of a DeploymentSpec. Nothing here starts a server or measures anything.
"""

from __future__ import annotations

from toolkit.deploy.bundle import Bundle, write_bundle
from toolkit.deploy.compose import compose_bundle
from toolkit.deploy.smoke import SmokeGeneration, SmokeRequest
from toolkit.deploy.spec import DeploymentSpec, Figures, requirements_below
from toolkit.deploy.validate import Finding, validate_bundle, validate_folder

__all__ = [
    "Bundle",
    "DeploymentSpec",
    "Figures",
    "Finding",
    "SmokeGeneration",
    "SmokeRequest",
    "compose_bundle",
    "requirements_below",
    "validate_bundle",
    "validate_folder",
    "write_bundle",
]
