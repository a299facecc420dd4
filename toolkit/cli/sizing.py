"""The commands on what was measured: `size` makes machines and money of it, `report` shows, `audit` recomputes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import show, show_size
from toolkit.cli.options import Json, Run, done


def size(
    run: Run,
    rate: Annotated[float | None, typer.Option("--rate", help="The peak, requests per second.")] = None,
    trace: Annotated[
        Path | None, typer.Option("--trace", help="A day (hour,rate_per_s), or arrivals (timestamp) to replay.")
    ] = None,
    growth: Annotated[str | None, typer.Option("--growth", help="As 30%/year, or '30%/year for 5'.")] = None,
    slo: Annotated[str | None, typer.Option("--slo", help="METRIC.STATISTIC=LIMIT,...; default: the run's.")] = None,
    candidate: Annotated[str | None, typer.Option("--candidate", help="Default: the one that the run chose.")] = None,
    headroom: Annotated[float, typer.Option("--headroom", help="The share that stays free at the peak.")] = 0.3,
    spare: Annotated[int, typer.Option("--spare", min=0, help="Replicas that may be away at the peak.")] = 1,
    surge: Annotated[float, typer.Option("--surge", min=0, help="The share that starts besides in an update.")] = 0.25,
    prices: Annotated[str | None, typer.Option("--prices", help="A price book (YAML), or `example`.")] = None,
    storage: Annotated[str | None, typer.Option("--storage", help="Bandwidth to the models, as 500MB/s.")] = None,
    nic: Annotated[str | None, typer.Option("--nic", help="The link of one replica, as 25Gbit.")] = None,
    hardware: Annotated[str, typer.Option("--hardware", help="Where imported results were measured.")] = "",
    extrapolate: Annotated[bool, typer.Option("--extrapolate", help="Also beyond the measured rates.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Measure the rate of one replica at the peak.")] = False,
    duration: Annotated[str, typer.Option("--duration", help="How long --verify measures.")] = "20s",
    json: Json = False,
) -> None:
    """Replicas, machines and cost for a demand, from the curves of a run; exit code 1 when --verify disagrees."""
    from toolkit.load.duration import seconds_from_text
    from toolkit.size.bandwidth import bytes_per_second
    from toolkit.size.demand import demand_from
    from toolkit.size.plan import Asked
    from toolkit.workflow.runs import run_from_text
    from toolkit.workflow.size import size_run

    asked = Asked(
        demand=demand_from(rate, trace=trace, growth=growth, headroom=headroom),
        headroom=headroom,
        spare=spare,
        surge=surge,
        storage_bytes_per_s=bytes_per_second(storage, "--storage") if storage else None,
        nic_bytes_per_s=bytes_per_second(nic, "--nic") if nic else None,
        hardware=hardware,
        extrapolate=extrapolate,
    )
    seconds = seconds_from_text(duration) if verify else None
    folder = run_from_text(run)
    with show.progress(json) as progress:
        plan = size_run(folder, asked, prices=prices, slo=slo, candidate=candidate, verify_s=seconds, progress=progress)
    show_size.plan(folder, plan, as_json=json)
    raise typer.Exit(0 if plan.verification is None or plan.verification.within else 1)


def audit(run: Run, json: Json = False) -> None:
    """Compute every figure of a run's report again from its raw records; exit code 1 when anything differs."""
    from toolkit.workflow.audit import audit_run
    from toolkit.workflow.runs import run_from_text

    found = audit_run(run_from_text(run))
    show_size.audit(found, as_json=json)
    raise typer.Exit(0 if found.passed else 1)


def report(
    run: Run,
    output: Annotated[Path | None, typer.Option("--output", help="The HTML file; default: in the run folder.")] = None,
    redact: Annotated[bool, typer.Option("--redact", help="Without the customer's names and paths.")] = False,
    word: Annotated[list[str], typer.Option("--word", help="Another word to redact; may be repeated.")] = [],
    pdf: Annotated[bool, typer.Option("--pdf", help="Print it too, with the Chromium that is installed.")] = False,
    json: Json = False,
) -> None:
    """Write the report of a run again, from what the run folder holds."""
    from toolkit.report.pdf import write_pdf
    from toolkit.workflow.report import write_redacted, write_report
    from toolkit.workflow.runs import run_from_text

    folder = run_from_text(run)
    page = write_redacted(folder, output, tuple(word)) if redact or word else write_report(folder, output)
    written = {"report": page} | ({"pdf": page.with_suffix(".pdf")} if pdf else {})
    if pdf:
        write_pdf(page, written["pdf"])
    done(written, "\n".join(f"{name}: {path}" for name, path in written.items()), json)


COMMANDS = (size, report, audit)
