"""The tables about what the load cost the server: processes, GPUs, and what was left waiting. Pure: a Report in."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.load.measurement import GpuUse, Measurement
from toolkit.load.pattern import load_text
from toolkit.report.report import Report
from toolkit.report.table import Table, number_columns, text_columns

NONE = "–"
_WHERE = text_columns("Configuration", "Load")


def resource_tables(report: Report) -> tuple[Table, ...]:
    """The tables that have a row: none for a server whose processes and GPUs are not to be seen."""
    return tuple(table for table in (server_table(report), gpu_table(report)) if table.rows)


def server_table(report: Report) -> Table:
    """CPU and memory of the server's process tree, and what waited for an execution when the window was over."""
    rows = tuple(
        (*where, *_server(m)) for where, m in _points(report) if m.server is not None or m.server_metrics is not None
    )
    columns = (
        *_WHERE,
        *number_columns("Server CPU", unit="cores"),
        *number_columns("Server memory", unit="MiB"),
        *number_columns("Processes", "Waiting at the end"),
        *number_columns("Held back by the CPU quota", unit="s"),
    )
    return Table(caption="What each load cost the server", columns=columns, rows=rows)


def gpu_table(report: Report) -> Table:
    """Means over the window of each GPU, by NVML."""
    rows = tuple((*where, *_gpu(use)) for where, m in _points(report) for use in m.gpus)
    columns = (
        *_WHERE,
        *number_columns("GPU"),
        *number_columns("Utilisation", unit="%"),
        *number_columns("Memory", unit="GiB"),
        *number_columns("Power", unit="W"),
        *number_columns("SM clock", unit="MHz"),
        *text_columns("Held back by"),
    )
    return Table(caption="GPUs under each load", columns=columns, rows=rows)


def _points(report: Report) -> Iterator[tuple[tuple[str, str], Measurement]]:
    for trial in report.trials:
        for point in trial.points:
            yield (trial.candidate.name, load_text(point.load)), point.measurement


def _server(measurement: Measurement) -> tuple[str, ...]:
    use, metrics = measurement.server, measurement.server_metrics
    processes = (
        (f"{use.cpu_share:.2f}", f"{use.resident_bytes / 2**20:,.0f}", str(use.processes)) if use else (NONE,) * 3
    )
    waiting = f"{metrics.pending_at_end:,}" if metrics else NONE
    return (*processes, waiting, f"{measurement.cpu_throttled_s:.2f}")


def _gpu(use: GpuUse) -> tuple[str, ...]:
    figures = (f"{100 * use.utilisation:.0f}", f"{use.memory_bytes / 2**30:.1f}", f"{use.power_w:.0f}")
    return (str(use.index), *figures, f"{use.sm_clock_mhz:.0f}", ", ".join(use.throttled) or "nothing")
