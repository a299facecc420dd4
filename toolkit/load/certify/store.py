"""Where certificates lie: one file for each environment, in the user's cache; another machine, or version, has none."""

from __future__ import annotations

from pathlib import Path

from toolkit import __version__
from toolkit.environment import cache_folder, environment_here
from toolkit.errors import ConfigurationError
from toolkit.load.certify.certification import Certification
from toolkit.load.measurement import Certificate
from toolkit.records import digest_of_value, read_json, write_json


def certificate_path() -> Path:
    """The file for this environment and version of the toolkit; it need not be there."""
    digest = digest_of_value({"environment": environment_here(), "toolkit": __version__})
    return cache_folder() / f"certificate-{digest[:16]}.json"


def store(certification: Certification) -> Path:
    """Keep what was found on this machine, in place of what was found before. Raises EnvironmentProblem."""
    path = certificate_path()
    write_json(path, certification)
    return path


def certification_here() -> Certification | None:
    """What was last found in this environment; None when nothing was, or by a toolkit that wrote it differently."""
    path = certificate_path()
    if not path.is_file():
        return None
    try:
        return read_json(path, Certification)
    except ConfigurationError:
        return None


def certificate_here() -> Certificate | None:
    """The certificate of this environment, None without one."""
    found = certification_here()
    return found.certificate if found else None
