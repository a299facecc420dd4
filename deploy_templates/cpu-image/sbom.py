"""The software of this image as a CycloneDX 1.5 document on standard output: every Debian and Python package.

    python3 sbom.py > sbom.cdx.json

Run while the image is built; standard library only. The same packages give the same document.
Source: cyclonedx.org/docs/1.5/json, and github.com/package-url/purl-spec for the names.
"""

import json
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

#: Where packages lie that no interpreter finds by itself: the wheel that tritonserver comes from.
SERVER = "/opt/tritonserver"


def system():
    """ID and VERSION_ID of the distribution."""
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("ID", "linux").strip('"'), values.get("VERSION_ID", "").strip('"')


def debian_packages(distribution):
    shown = "${Package}\t${Version}\t${Architecture}\n"
    listed = subprocess.run(("dpkg-query", "-W", "-f", shown), capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        name, version, architecture = line.split("\t")
        purl = f"pkg:deb/{distribution}/{quote(name)}@{quote(version)}?arch={architecture}"
        yield component(name, version, purl)


def python_packages():
    for found in metadata.distributions(path=[*sys.path, SERVER]):
        name, version = found.metadata["Name"], found.version
        yield component(name, version, f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version)}")


def component(name, version, purl):
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def document():
    distribution, release = system()
    found = {c["purl"]: c for c in (*debian_packages(distribution), *python_packages())}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "container", "name": "poc-toolkit/triton-cpu", "bom-ref": "image"},
            "properties": [
                {"name": "distribution", "value": f"{distribution} {release}"},
                {"name": "python", "value": platform.python_version()},
                {"name": "machine", "value": platform.machine()},
            ],
        },
        "components": [found[purl] for purl in sorted(found)],
    }


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1)
