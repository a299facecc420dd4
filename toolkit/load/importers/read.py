"""`read_results`: which tool wrote a file is told by its content; a folder stands for the best file in it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import ConfigurationError, UsageError
from toolkit.load.importers import aiperf, guidellm, loadgen, model_analyzer, perf_analyzer
from toolkit.load.importers.results import Results

HEAD_CHARACTERS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of result file. `recognises` gets its first characters, `read` all of them and its path."""

    name: str
    text: str
    recognises: Callable[[str], bool]
    read: Callable[[str, Path], Results]


def _of_text(read: Callable[[str], Results]) -> Callable[[str, Path], Results]:
    return lambda text, path: read(text)


FORMATS: tuple[Format, ...] = (
    Format(
        name="perf_analyzer-json",
        text="perf_analyzer --profile-export-file",
        recognises=perf_analyzer.is_json,
        read=_of_text(perf_analyzer.results_from_json),
    ),
    Format(
        name="perf_analyzer-csv",
        text="perf_analyzer -f",
        recognises=perf_analyzer.is_csv,
        read=_of_text(perf_analyzer.results_from_csv),
    ),
    Format(
        name="aiperf-jsonl",
        text="AIPerf profile_export.jsonl",
        recognises=aiperf.is_jsonl,
        read=aiperf.results_from_jsonl,
    ),
    Format(
        name="aiperf-json",
        text="AIPerf profile_export_aiperf.json",
        recognises=aiperf.is_json,
        read=_of_text(aiperf.results_from_json),
    ),
    Format(
        name="guidellm-json",
        text="GuideLLM --output kind=json",
        recognises=guidellm.is_json,
        read=_of_text(guidellm.results_from_json),
    ),
    Format(
        name="loadgen-detail",
        text="LoadGen mlperf_log_detail.txt",
        recognises=loadgen.is_detail,
        read=_of_text(loadgen.results_from_detail),
    ),
    Format(
        name="loadgen-summary",
        text="LoadGen mlperf_log_summary.txt",
        recognises=loadgen.is_summary,
        read=_of_text(loadgen.results_from_summary),
    ),
    Format(
        name="model_analyzer-csv",
        text="Model Analyzer metrics-model-inference.csv",
        recognises=model_analyzer.is_csv,
        read=_of_text(model_analyzer.results_from_csv),
    ),
)
#: What a folder is searched for, the richest file first.
FILES_IN_FOLDER = ("profile_export.jsonl", aiperf.SUMMARY, "mlperf_log_detail.txt", "mlperf_log_summary.txt")


def read_results(path: Path, format: str | None = None) -> Results:
    """What a result file of another tool holds. `format` is the name of one of FORMATS; without it the content tells.

    Raises UsageError for a format that is not known, ConfigurationError for a file that cannot be read as one.
    """
    file = _file_in(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigurationError(f"{file} cannot be read: {err}", mend=_expected()) from err
    chosen = _format_named(format) if format else _format_of(file, text)
    try:
        results = chosen.read(text, file)
    except (ValueError, KeyError, TypeError, IndexError, csv.Error, json.JSONDecodeError) as err:
        raise ConfigurationError(
            f"{file} was taken for {chosen.text}, and is not as expected: {type(err).__name__} {err}",
            mend="see that the tool finished writing it; another version of the tool may have changed its format",
        ) from err
    if not results.points:
        raise ConfigurationError(f"{file} ({chosen.text}) holds no result", mend="see that the tool ran to its end")
    return results


def _file_in(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = next((path / name for name in FILES_IN_FOLDER if (path / name).is_file()), None)
    if found is None:
        raise ConfigurationError(
            f"{path} holds none of {', '.join(FILES_IN_FOLDER)}", mend="name the result file itself"
        )
    return found


def _format_named(name: str) -> Format:
    for form in FORMATS:
        if form.name == name:
            return form
    raise UsageError(f"--format '{name}' is not known", mend=f"one of {', '.join(f.name for f in FORMATS)}")


def _format_of(file: Path, text: str) -> Format:
    head = text[:HEAD_CHARACTERS].lstrip()
    for form in FORMATS:
        if form.recognises(head):
            return form
    raise ConfigurationError(f"{file} is no result file that is known; it begins with {head[:60]!r}", mend=_expected())


def _expected() -> str:
    return "expected one of: " + "; ".join(form.text for form in FORMATS)
