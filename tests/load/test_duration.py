"""Durations: what is read, what is refused, and that shown times can be read back."""

from __future__ import annotations

import pytest

from toolkit.errors import UsageError
from toolkit.load.duration import seconds_from_text, seconds_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500us", 500e-6), ("20ms", 0.02), ("5s", 5.0), ("2m", 120.0), ("1.5 s", 1.5), (".5s", 0.5), ("10µs", 10e-6)],
)
def test_units(text: str, seconds: float) -> None:
    assert seconds_from_text(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["20", "", "ms", "20 minutes", "-1s", "1h", "nan s", "1e3ms"])
def test_refused_with_a_mend(text: str) -> None:
    with pytest.raises(UsageError) as found:
        seconds_from_text(text)
    assert "20ms" in found.value.mend or "20m" in found.value.mend


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.02, "20ms"), (1.5, "1.5s"), (600.0, "600s"), (5e-6, "5us"), (0.0, "0s"), (0.015, "15ms")]
)
def test_shown_as_it_is_read(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text
    assert seconds_from_text(text) == pytest.approx(seconds)
