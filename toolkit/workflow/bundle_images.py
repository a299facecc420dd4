"""Which images stand in for a bundle's own on this machine: the CPU image for NVIDIA's, Debian's Prometheus.

In: a lock and a Docker engine. Out: an image by service, and why a service is not started.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.deploy.lock import OBSERVERS, BundleLock
from toolkit.deploy.rendering import render
from toolkit.errors import EnvironmentProblem
from toolkit.records import digest_of_file, digest_of_value, read_yaml, write_text
from toolkit.serve.docker_engine import asking, image_here
from toolkit.workflow.bundle_image import build_image, cpu_image_for
from toolkit.workflow.bundle_stack import serving_service

if TYPE_CHECKING:
    from docker import DockerClient

PROMETHEUS = "/usr/bin/prometheus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """`used` is the image of each service that is started; `stand_ins` says of which it is not the bundle's own.

    `own_recipe`: the bundle's image recipe has to be built. `skipped`: why a service is not started, with the mend.
    """

    used: dict[str, str]
    stand_ins: dict[str, str]
    own_recipe: bool = False
    skipped: dict[str, str] = field(default_factory=dict)


def choose_images(client: DockerClient, bundle: Path, lock: BundleLock, asked: str | None) -> Images:
    """The images for a bundle: its own where they are here, else those that stand in for them.

    `asked` is an image for the serving service. Raises EnvironmentProblem where nothing can serve.
    """
    described = read_yaml(bundle / "compose" / "docker-compose.yaml")
    serving, own = serving_service(described), lock.server_image
    used, own_recipe = _server_image(client, bundle, serving, own, asked)
    stand_ins = dict.fromkeys(used, own)
    skipped = {}
    for service in OBSERVERS:
        if service not in described["services"]:
            skipped[service] = "compose/docker-compose.yaml has no such service"
        elif _is_here(client, lock.images[service]):
            continue
        elif service == "prometheus" and Path(PROMETHEUS).is_file():
            used[service] = prometheus_image(client, used.get(serving, own))
            stand_ins[service] = lock.images[service]
        else:
            debian = "; or apt-get install prometheus" if service == "prometheus" else ""
            skipped[service] = f"not started: docker pull {lock.images[service]}{debian}"
    return Images(used=used, stand_ins=stand_ins, own_recipe=own_recipe, skipped=skipped)


def _server_image(
    client: DockerClient, bundle: Path, serving: str, own: str, asked: str | None
) -> tuple[dict[str, str], bool]:
    """What serves in the place of the bundle's own image, if anything, and whether its own recipe has to be built."""
    if asked is not None:
        image_here(client, asked, mend=f"docker pull {asked}")
        return {serving: asked}, False
    if _is_here(client, own):
        return {}, (bundle / "triton" / "Dockerfile").is_file()
    if (cpu := cpu_image_for(client, bundle / "model_repository")) is not None:
        return {serving: cpu.name}, False
    raise EnvironmentProblem(
        f"neither {own} nor a CPU image for this bundle is on this machine",
        mend=f"toolkit bundle image {bundle}; or docker pull {own}",
    )


def prometheus_image(client: DockerClient, base: str) -> str:
    """An image with the Prometheus of this machine's Debian package on `base`, built once."""
    with asking(f"looking at {base}"):
        base_id = client.images.get(base).id
    recipe = render("prometheus-image/Dockerfile")
    tag = f"poc-toolkit/prometheus:{digest_of_value([digest_of_file(Path(PROMETHEUS)), base_id, recipe])[:16]}"
    if _is_here(client, tag):
        return tag
    with tempfile.TemporaryDirectory(prefix="poc-toolkit-image-") as work:
        write_text(Path(work) / "Dockerfile", recipe)
        shutil.copy(PROMETHEUS, Path(work) / "prometheus")
        build_image(client, {"path": work, "buildargs": {"BASE_IMAGE": base}, "tag": tag, "network_mode": "none"})
    return tag


def _is_here(client: DockerClient, image: str) -> bool:
    try:
        image_here(client, image, mend="")
    except EnvironmentProblem:
        return False
    return True
