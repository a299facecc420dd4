"""`toolkit bundle`: what a deployment bundle is worth, judged from its files and tried on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import show
from toolkit.cli.options import Json, done

bundle = typer.Typer(help="What a deployment bundle is worth, before it goes to production.", no_args_is_help=True)


@bundle.command("validate")
def bundle_validate(
    folder: Annotated[Path, typer.Argument(help="A folder that `toolkit deploy` wrote.")],
    every: Annotated[bool, typer.Option("--all", help="A line for each file, also where many are alike.")] = False,
    json: Json = False,
) -> None:
    """Ask every validator that is installed. Exit code 1 when one is not content."""
    from toolkit.deploy.validate import is_failed, validate_folder

    findings = validate_folder(folder)
    show.document({"bundle": folder, "validation": findings}) if json else show.bundle(folder, findings, every=every)
    raise typer.Exit(1 if any(map(is_failed, findings)) else 0)


@bundle.command("image")
def bundle_image(
    folder: Annotated[Path, typer.Argument(help="A bundle, or a model repository.")],
    base: Annotated[str, typer.Option("--base", help="The image to build on.")] = "debian:bookworm-slim",
    wheels: Annotated[Path | None, typer.Option("--wheels", help="Install from this folder, not with pip's.")] = None,
    network: Annotated[str, typer.Option("--network", help="For a base without Python: default or host.")] = "default",
    sbom: Annotated[Path | None, typer.Option("--sbom", help="Write the image's software list here.")] = None,
    json: Json = False,
) -> None:
    """Build the CPU image of Triton that serves a bundle where there is no GPU; not again where it is here."""
    from toolkit.workflow.bundle_image import build_cpu_image, write_sbom

    with show.progress(json) as progress:
        image = build_cpu_image(folder, base=base, wheels=wheels, network=network, progress=progress)
    written = write_sbom(image, sbom) if sbom else None
    built = "is built" if image.built else "is here already"
    text = f"{image.name} ({image.bytes / 2**20:,.0f} MiB) {built}" + (f"; {sbom} lists its software" if sbom else "")
    done({"image": image, "sbom": written}, text, json)


@bundle.command("verify")
def bundle_verify(
    folder: Annotated[Path, typer.Argument(help="A bundle for compose, as `toolkit deploy` wrote it.")],
    rate: Annotated[float | None, typer.Option("--rate", help="Requests per second; default: by the run.")] = None,
    duration: Annotated[str, typer.Option("--duration", help="Of the SLO test, with its unit.")] = "20s",
    image: Annotated[str | None, typer.Option("--image", help="The server's image; default: its own, or ours.")] = None,
    timeout: Annotated[str, typer.Option("--timeout", help="For a service to become ready, with its unit.")] = "5m",
    json: Json = False,
) -> None:
    """Bring a compose bundle up here, try it from every side, and take it down; exit code 1 when a check fails."""
    from toolkit.load.duration import seconds_from_text
    from toolkit.workflow.bundle_verify import VerifyOptions, verify_bundle

    lasts, ready_s = seconds_from_text(duration), seconds_from_text(timeout)
    options = VerifyOptions(rate_per_s=rate, duration_s=lasts, image=image, timeout_s=ready_s)
    with show.progress(json) as progress:
        verified = verify_bundle(folder, options, progress)
    show.document(verified) if json else show.verification(verified)
    raise typer.Exit(0 if verified.passed else 1)
