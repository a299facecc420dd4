"""Triton Model Analyzer's `metrics-model-inference.csv`: a row for each configuration, batch and concurrency.

Its figures are perf_analyzer's, as far as `inference_output_fields` names them: by default the throughput, and the p99
rounded to 0.1 ms. Its throughput counts inferences, ours counts requests: it is divided by the batch.
Source: triton-inference-server/model_analyzer, record/types; files by version 1.58.0.
"""

from __future__ import annotations

import csv
import io

from toolkit.errors import ConfigurationError
from toolkit.load.importers.results import (
    NOTHING,
    ImportedPoint,
    Results,
    closed_loop,
    open_loop,
    seconds,
    stated_measurement,
    stated_times,
)
from toolkit.load.pattern import Concurrency, Load

TOOL = "Model Analyzer"
CONFIGURATION, THROUGHPUT = "Model Config Path", "Throughput (infer/sec)"


def is_csv(text: str) -> bool:
    """Whether text begins as metrics-model-inference.csv."""
    return CONFIGURATION in text.partition("\n")[0]


def results_from_csv(text: str) -> Results:
    """Every row. Raises ConfigurationError for several models in one file, or a file without throughput."""
    rows = list(csv.DictReader(io.StringIO(text)))
    models = sorted({row["Model"] for row in rows})
    if len(models) > 1:
        raise ConfigurationError(f"this Model Analyzer result holds {len(models)} models; expected one")
    return Results(tool=TOOL, version="", model="".join(models), points=tuple(_point(row) for row in rows))


def _point(row: dict[str, str]) -> ImportedPoint:
    if THROUGHPUT not in row:
        raise ConfigurationError(
            f"this Model Analyzer result has no column '{THROUGHPUT}'",
            mend="add perf_throughput to inference_output_fields and write the report again",
        )
    load, batch = _load(row), int(row.get("Batch") or 1)
    times = stated_times(
        {q / 100: seconds(row.get(f"p{q} Latency (ms)"), 1e-3) for q in (50, 90, 95, 99)},
        mean_s=seconds(row.get("Avg Latency (ms)"), 1e-3),
    )
    measurement = stated_measurement(
        TOOL,
        load,
        latency=times if isinstance(load, Concurrency) else NOTHING,
        service=times,
        throughput_per_s=float(row[THROUGHPUT]) / batch,
    )
    return ImportedPoint(measurement=measurement, variant=row[CONFIGURATION] + (f"-batch-{batch}" if batch > 1 else ""))


def _load(row: dict[str, str]) -> Load:
    if row.get("Concurrency", "").isdigit():
        return closed_loop(int(row["Concurrency"]))
    if row.get("Request Rate"):
        return open_loop(float(row["Request Rate"]), "constant")
    raise ConfigurationError(
        "this Model Analyzer result has neither a column Concurrency nor one Request Rate",
        mend="add concurrency to inference_output_fields and write the report again",
    )
