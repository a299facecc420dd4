"""`toolkit index build` and `toolkit index sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli import show
from toolkit.cli.options import Json, Run, command_line, done
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.workflow.index import IndexSweepResult

index = typer.Typer(help="Build vector indexes, and find the one that answers fast enough.", no_args_is_help=True)
Metric = Annotated[str, typer.Option("--metric", help="l2, or inner_product (of unit vectors: the cosine).")]


@index.command("build")
def index_build(
    vectors: Annotated[Path, typer.Argument(help="npy, npz, fvecs, bvecs, ivecs, parquet or ann-benchmarks' hdf5.")],
    output: Annotated[Path, typer.Option("--output", help="The index's folder; must be new.")],
    kind: Annotated[
        str, typer.Option("--kind", help="flat, ivf, ivf_pq, hnsw; with a GPU and cuVS cagra, cuvs_ivf_pq.")
    ] = "hnsw",
    metric: Metric = "l2",
    json: Json = False,
) -> None:
    """Build an index and check it against exact search."""
    from toolkit.workflow.index import build_index_from_file

    built = build_index_from_file(vectors, kind, metric, output)  # type: ignore[arg-type]
    size = f"{built.index_bytes / 2**20:.1f} MiB, built in {built.build_s:.1f} s"
    for warning in built.warnings:
        show.err.print(f"{warning.kind}: {warning.text}", markup=False)
    text = f"{output}: {built.factory} over {built.count:,} x {built.dimension}, {size}; recall@10 at most effort: "
    done({"index": output, "built": built}, f"{text}{built.recall_at_most_effort:.4f}", json)


@index.command("sweep")
def index_sweep(
    vectors: Annotated[Path | None, typer.Argument(help="A vector file; without one, seeded vectors.")] = None,
    queries: Annotated[Path | None, typer.Option("--queries", help="A vector file; default: held out.")] = None,
    generate: Annotated[str, typer.Option("--generate", help="COUNTxDIMENSION of seeded vectors.")] = "100000x128",
    kinds: Annotated[str, typer.Option("--kinds", help="Kinds of index.")] = "flat,ivf,ivf_pq,hnsw",
    efforts: Annotated[str, typer.Option("--efforts", help="nprobe or ef_search; default: a grid.")] = "",
    metric: Metric = "l2",
    k: Annotated[int, typer.Option("--k", help="Neighbours per query.")] = 100,
    recall: Annotated[float, typer.Option("--recall", help="The share of true neighbours to find.")] = 0.95,
    slo: Annotated[str | None, typer.Option("--slo", help="For example p99=10ms.")] = None,
    clients: Annotated[int, typer.Option("--concurrency", help="Clients at once.")] = 8,
    duration: Annotated[str, typer.Option("--duration", help="Time for each point, with its unit.")] = "3s",
    json: Json = False,
) -> None:
    """Recall against queries per second and p99 through a live Triton; exit code 1 when nothing can be chosen."""
    from toolkit.load.duration import seconds_from_text
    from toolkit.load.slo import Slo, slo_from_text
    from toolkit.workflow.index import IndexSweep, sweep_index
    from toolkit.workflow.runs import RUNS

    spec = IndexSweep(
        vectors=vectors,
        queries=queries,
        generated=_sizes(generate),
        kinds=tuple(kinds.split(",")),
        efforts=_numbers(efforts),
        metric=metric,  # type: ignore[arg-type]
        k=k,
        recall=recall,
        slo=slo_from_text(slo) if slo else Slo(criteria=()),
        clients=clients,
        duration_s=seconds_from_text(duration),
    )
    with show.progress(json) as progress:
        run, result = sweep_index(spec, command=command_line(), root=RUNS, progress=progress)
    show.document({"run": run, "result": result}) if json else _show(run, result)
    raise typer.Exit(0 if result.chosen else 1)


@index.command()
def cost(
    run: Run,
    prices: Annotated[str, typer.Option("--prices", help="A price book (YAML), or `example`.")],
    recall: Annotated[float, typer.Option("--recall", help="What must be found, at least.")] = 0.95,
    headroom: Annotated[float, typer.Option("--headroom", help="The share of a machine that stays free.")] = 0.3,
    json: Json = False,
) -> None:
    """What a million queries cost at a fixed recall, from the points of an index sweep; the cheapest first."""
    from toolkit.size.prices import price_book
    from toolkit.workflow.index import costs_of
    from toolkit.workflow.runs import run_from_text

    book = price_book(prices)
    found = costs_of(run_from_text(run), book, recall, headroom)
    if json:
        show.document({"currency": book.currency, "example": book.example, "costs": found})
        return
    made_up = "; EXAMPLE: these prices are made up" if book.example else ""
    rows = tuple(
        (
            c.index,
            c.price,
            f"{c.recall:.4f}",
            f"{c.queries_per_s:,.0f}",
            f"{c.per_million:.4g}",
            f"{c.with_headroom:.4g}",
        )
        for c in found
    )
    columns = ("index", "price", "recall []", "queries [1/s]", "per million []", f"{100 * headroom:g} % kept free []")
    show.table(columns, rows, title=f"{book.currency} per million queries ({book.source}, {book.date}{made_up})")


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part for part in text.split(",") if part]
    if not all(part.isdigit() and int(part) for part in parts):
        raise UsageError(f"--efforts '{text}' is not a list of numbers", mend="--efforts 16,64,256")
    return tuple(map(int, parts))


def _sizes(text: str) -> tuple[int, int]:
    count, _, dimension = text.partition("x")
    if not (count.isdigit() and dimension.isdigit() and int(count) and int(dimension)):
        raise UsageError(f"--generate '{text}' is not COUNTxDIMENSION", mend="--generate 100000x128")
    return int(count), int(dimension)


def _show(run: Path, result: IndexSweepResult) -> None:
    rows = []
    for p in result.points:
        m, front = p.measurement, "*" if p.name in result.front else ""
        tail = f"{m.latency.at(0.99).value_s * 1e3:.2f}" if m.latency.count else "-"
        cost = (f"{p.in_process_per_s:,.0f}", f"{p.in_process_p99_s * 1e3:.2f}")
        size = (f"{p.index_bytes / 2**20:.1f}", f"{p.build_s:.1f}")
        verdict = p.outcome if p.verdicts else "-"
        marks = ", ".join(w.kind for w in m.warnings)
        rows.append(
            (p.name, front, f"{p.recall:.4f}", f"{m.throughput_per_s:,.0f}", tail, *cost, *size, verdict, marks)
        )
    columns = ("index", "front", "recall []", "queries [1/s]", "p99 [ms]", "library alone [1/s]", "its p99 [ms]")
    show.table((*columns, "index [MiB]", "build [s]", "verdict", "warnings"), rows)
    for c in result.conditions:
        tail = f"p99 {c.measurement.latency.at(0.99).value_s * 1e3:.2f} ms" if c.measurement.latency.count else "-"
        figures = f"{c.measurement.throughput_per_s:,.0f} queries/s, {tail}, {c.failed} failed, recall {c.recall:.4f}"
        show.out.print(f"{c.name}: {figures}", markup=False)
    show.out.print(f"{result.sentence}\nrun folder: {run}", markup=False)
