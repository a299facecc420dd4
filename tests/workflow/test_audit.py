"""The audit: a run as it was made passes, and one altered digit anywhere is caught."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from simulated_run import run_folder
from tiny_poc import toolkit

from toolkit.errors import ConfigurationError
from toolkit.load.queue_model import Queue
from toolkit.size.demand import Demand
from toolkit.size.plan import Asked
from toolkit.workflow.audit import Audit, audit_run
from toolkit.workflow.size import size_run

QUEUE = Queue(service_s=0.003, row_s=0.0004, max_batch_size=8, batch_delay_s=0.001)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = run_folder(tmp_path_factory.mktemp("audit"), QUEUE, (300.0, 900.0), "p99=20ms", duration_s=8.0)
    size_run(run, Asked(demand=Demand(peak_per_s=5000)), prices="example")
    return run


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / whole.parent.name / whole.name)


def altered(path: Path, pattern: str) -> None:
    """Change the first digit of what the pattern's group matches, one digit and nothing else."""
    text = path.read_text(encoding="utf-8")
    match = re.search(pattern, text)
    assert match is not None, pattern
    place = match.start(1)
    other = str(int(text[place]) + 1) if text[place] != "9" else "8"
    path.write_text(text[:place] + other + text[place + 1 :], encoding="utf-8")


def places(found: Audit) -> str:
    return " ".join((*found.altered, *(d.where for d in found.differences)))


def test_an_untouched_run_passes(run: Path) -> None:
    found = audit_run(run)
    assert found.passed, (found.altered, found.differences)
    assert found.points == 2 and found.figures > 300 and found.files >= 6


@pytest.mark.parametrize(
    ("file", "pattern", "caught"),
    [
        ("report.html", r"<dt>Replicas</dt><dd>(\d)", "report.html"),
        ("report.html", r'<td class="number"[^>]*>(\d)', "report.html"),
        ("report.html", r'"throughput_per_s": \d+\.(\d)', "report.html"),
        ("report.json", r'"q": 0.99,\s+"value_s": 0\.\d*(\d),', "latency.quantiles"),
        ("report.json", r'"throughput_per_s": (\d)', "throughput_per_s"),
        ("report.json", r'"per_month": \{[^}]*"value": (\d)', "sizing.cost"),
        ("report.json", r'"effective_samples": (\d)', "effective_samples"),
        ("report.json", r'"cpu_per_request_s": (\d)', "client"),
        ("trials/as-served/rate-300-poisson/observation.json", r'"queue_s": 0\.0*(\d)', "observation.json"),
        ("served.json", r'"max_batch_size": (\d)', "served.json"),
    ],
)
def test_one_altered_digit_is_caught(run: Path, file: str, pattern: str, caught: str) -> None:
    altered(run / file, pattern)
    found = audit_run(run)
    assert not found.passed and caught in places(found)


def test_an_altered_record_is_caught_by_its_digest_and_by_its_figures(run: Path) -> None:
    path = run / "trials" / "as-served" / "rate-900-poisson" / "records.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["done_ns"] = arrays["done_ns"] - np.int64(1_000_000)
    np.savez_compressed(path, **arrays)
    found = audit_run(run)
    assert str(path.relative_to(run)) in found.altered
    assert "trials[0].points[1].measurement.latency" in places(found)


def test_measurement_json_is_trusted_for_nothing(run: Path) -> None:
    """It may say what it likes: the report that was made from the records stands."""
    path = run / "trials" / "as-served" / "rate-900-poisson" / "measurement.json"
    altered(path, r'"throughput_per_s": (\d)')
    assert audit_run(run).passed


def test_a_report_made_from_an_altered_measurement_is_caught(run: Path, tmp_path: Path) -> None:
    path = run / "trials" / "as-served" / "rate-900-poisson" / "measurement.json"
    altered(path, r'"throughput_per_s": (\d)')
    assert toolkit("report", run, cwd=tmp_path).returncode == 0
    found = audit_run(run)
    assert not found.passed and "throughput_per_s" in places(found)


def test_the_command_ends_with_1_and_names_the_place(run: Path, tmp_path: Path) -> None:
    assert toolkit("audit", run, cwd=tmp_path).returncode == 0
    altered(run / "report.json", r'"throughput_per_s": (\d)')
    done = toolkit("audit", run, "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert any("throughput_per_s" in d["where"] for d in json.loads(done.stdout)["differences"])


def test_a_run_without_sealed_evidence_cannot_be_audited(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | {"evidence": {}}))
    with pytest.raises(ConfigurationError, match="holds no digests"):
        audit_run(run)


def test_an_imported_result_without_requests_cannot_be_audited(run: Path) -> None:
    (run / "trials" / "as-served" / "rate-300-poisson" / "observation.json").unlink()
    with pytest.raises(ConfigurationError, match="no records to compute"):
        audit_run(run)
