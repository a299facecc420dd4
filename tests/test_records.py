"""Values to JSON and back, strictly; atomic writes; steps that are never repeated and never half done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from toolkit.errors import ConfigurationError, EnvironmentProblem
from toolkit.records import STEP_FILE, from_data, is_finished, read_json, step, to_data, write_json, write_text, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class Cat:
    name: str
    lives: int = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Dog:
    name: str
    weight_kg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    pets: tuple[Cat | Dog, ...]
    colour: Literal["red", "blue"] = "red"
    owner: str | None = None
    rooms: dict[str, tuple[int, int]] = field(default_factory=dict)
    path: Path = Path("x")


HOUSE = House(pets=(Cat(name="Tom"), Dog(name="Rex", weight_kg=3.5)), rooms={"hall": (2, 3)}, owner="Eve")


def test_a_value_survives_the_way_to_disk_and_back(tmp_path: Path) -> None:
    write_json(tmp_path / "house.json", HOUSE)
    assert read_json(tmp_path / "house.json", House) == HOUSE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colours": "red"}, r"house\.colours is not a field of House; did you mean 'colour'"),
        ({"colour": "green"}, r"house\.colour is 'green'; expected one of 'red', 'blue'"),
        ({"pets": [{"type": "Cat", "name": 3}]}, r"house\.pets\[0\]\.name is 3; expected text"),
        ({"pets": [{"type": "Cow", "name": "x"}]}, r"house\.pets\[0\]\.type is 'Cow'; expected one of Cat, Dog"),
        ({"pets": [{"type": "Dog", "name": "x"}]}, r"house\.pets\[0\]\.weight_kg is missing"),
        ({"rooms": {"hall": [1]}}, r"house\.rooms\.hall is \[1\]; expected a list of 2"),
        ({"pets": 3}, r"house\.pets is 3; expected a list"),
        ({"pets": [{"type": "Cat", "name": "x", "lives": True}]}, r"lives is True; expected a whole number"),
    ],
)
def test_reading_is_strict_and_names_the_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        from_data(House, to_data(HOUSE) | change, "house")


def test_a_document_of_another_schema_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "house.json", HOUSE)
    data = json.loads((tmp_path / "house.json").read_text())
    write_text(tmp_path / "house.json", json.dumps(data | {"schema": 99}))
    with pytest.raises(ConfigurationError, match="schema"):
        read_json(tmp_path / "house.json", House)


def test_a_step_is_done_once_and_again_only_when_something_changed(tmp_path: Path) -> None:
    calls: list[str] = []

    def do(folder: Path) -> None:
        calls.append("done")
        write_text(folder / "sub" / "out.txt", "result")

    place = step(tmp_path, "stage/one", {"a": 1}, do)
    step(tmp_path, "stage/one", {"a": 1}, do)
    assert calls == ["done"]
    step(tmp_path, "stage/one", {"a": 2}, do)
    assert calls == ["done", "done"]
    write_text(place / "sub" / "out.txt", "altered")
    assert not is_finished(tmp_path, "stage/one", {"a": 2})
    step(tmp_path, "stage/one", {"a": 2}, do)
    assert (place / "sub" / "out.txt").read_text() == "result"


def test_a_step_that_fails_leaves_nothing_that_counts(tmp_path: Path) -> None:
    def do(folder: Path) -> None:
        write_text(folder / "half.txt", "half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step(tmp_path, "stage", 1, do)
    assert not (tmp_path / "stage").exists()


def test_a_full_disk_is_an_environment_problem_that_names_the_mend() -> None:
    with pytest.raises(EnvironmentProblem, match="No space left") as caught, writing(Path("/dev/full")):
        Path("/dev/full").write_text("x")
    assert "--resume" in caught.value.mend


KILLED = """
import sys, time
from pathlib import Path
from toolkit.records import step, write_text
run = Path(sys.argv[1])
for number in range(40):
    def do(folder, number=number):
        with (run / "log").open("a") as log:
            log.write(f"{number}\\n")
        for part in range(3):
            write_text(folder / f"{part}.txt", str(number) * 1000)
    step(run, f"steps/{number:02d}", number, do)
"""


def test_kill_at_twenty_moments_repeats_no_finished_step(tmp_path: Path) -> None:
    for moment in range(20):
        process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path])
        time.sleep(0.1 + 0.013 * moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = {p.name for p in (tmp_path / "steps").glob("[0-9]*") if (p / STEP_FILE).is_file()}
    before = (tmp_path / "log").read_text().split()
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=True, env=os.environ)
    repeated = {f"{int(n):02d}" for n in (tmp_path / "log").read_text().split()[len(before) :]} & finished
    assert not repeated
    assert len(list((tmp_path / "steps").glob("[0-9]*"))) == 40
    for place in (tmp_path / "steps").glob("[0-9]*"):
        assert (place / "2.txt").read_text() == str(int(place.name)) * 1000
