"""The peaks of this machine: kept, and of a plausible size beside each other."""

from __future__ import annotations

from pathlib import Path

from toolkit.size import cpu_peak
from toolkit.size.cpu_peak import peak_here


def test_peaks_are_measured_once_for_an_environment(tmp_path: Path) -> None:
    first = peak_here(tmp_path)
    assert first.measured and "measured here" in first.source
    assert peak_here(tmp_path) == first  # to the last digit: it was read, not measured again
    # A core does several operations in the time that its memory needs for a byte: else one of both is wrong.
    assert first.flops_per_s > first.bytes_per_s > 1e8


def test_the_formulas_count_what_is_done() -> None:
    assert cpu_peak._best_product(64) > 0 and cpu_peak._best_triad(1 << 16) > 0
