"""CPU and memory of a process tree: /proc texts and readings as tables, and one live tree."""

from __future__ import annotations

import subprocess
import sys

import pytest

from toolkit.load.process_tree import (
    ProcessStat,
    TreeReading,
    descendants,
    process_use,
    read_processes,
    stat_from_text,
    tree_of,
)


def test_a_stat_whose_name_holds_brackets_and_blanks() -> None:
    text = "4242 (triton (stub) 1) S 77 4242 4242 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 9 0 1000 99999 250 " + "0 " * 27
    stat = stat_from_text(text, ticks_per_s=100, page_bytes=4096)
    assert stat == ProcessStat(parent=77, cpu_s=2.0, resident_bytes=250 * 4096)


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ({1: 0, 10: 1, 11: 10, 12: 10, 13: 11, 20: 1}, (10, 11, 12, 13)),
        ({1: 0, 10: 1}, (10,)),
        ({1: 0, 11: 10}, ()),
    ],
)
def test_descendants(parents: dict[int, int], expected: tuple[int, ...]) -> None:
    assert descendants(10, parents) == expected


def reading(at_s: float, **cpu_s: float) -> TreeReading:
    stats = {int(pid[1:]): ProcessStat(parent=1, cpu_s=used, resident_bytes=1000) for pid, used in cpu_s.items()}
    return TreeReading(at_ns=int(at_s * 1e9), processes=stats)


def test_the_difference_of_two_readings() -> None:
    """One that came in counts from its beginning, one that ended counts with nothing."""
    use = process_use(reading(1.0, p1=5.0, p2=1.0, p3=2.0), reading(3.0, p1=6.0, p2=1.5, p4=0.5))
    assert use is not None
    assert (use.cpu_share, use.resident_bytes, use.processes) == (pytest.approx(1.0), 3000, 3)


def test_no_process_and_no_time() -> None:
    assert process_use(reading(1.0, p1=1.0), reading(2.0)) is None
    assert process_use(reading(1.0, p1=1.0), reading(1.0, p1=1.0)) is None


def test_a_live_tree_with_a_child_that_works() -> None:
    worker = "while True: pass"
    parent = (
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {worker!r}]); print(p.pid, flush=True);"
        "sys.stdin.read(); p.kill(); p.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        tree = tree_of(process.pid)
        assert set(tree) == {process.pid, child}
        before = read_processes(tree)
        while (after := read_processes(tree)).processes[child].cpu_s < before.processes[child].cpu_s + 0.05:
            pass
        use = process_use(before, after)
        assert use is not None and use.processes == 2
        assert 0 < use.cpu_share < 1.5 and use.resident_bytes > 4_000_000
        process.communicate("")
    assert tree_of(process.pid) == () and read_processes(tree).processes == {}
