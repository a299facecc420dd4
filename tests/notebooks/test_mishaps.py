"""What goes wrong in a workshop: each shows a plain message with the mend, never a traceback, and leaves no process."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from tiny_poc import points_of, processes_of, wait_until, write_poc

kernels = pytest.importorskip("notebook_kernel", reason="the notebooks need the `workshop` extra")

OPEN = 'poc = workshop.open_poc("pocs/{}")'
MEASURE = "run = workshop.measure(poc)"


def poc_of(workplace: Path, name: str) -> str:
    """A PoC of four short points, and the cell that opens it."""
    write_poc(workplace / "pocs" / name, candidates=2, loads=2, duration_s=1.5)
    return OPEN.format(name)


def measured(workplace: Path, name: str) -> list[Path]:
    """The points of this PoC that are done."""
    return [path for path in points_of(workplace / "runs") if f"/runs/{name}/" in str(path)]


def servers_of(workplace: Path) -> list[int]:
    """The Tritons that serve something of the workplace."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[0].endswith("/tritonserver") and any(str(workplace) in word for word in words):
            found.append(int(path.parent.name))
    return found


def is_plain(error: str) -> bool:
    """A message with its mend, and nothing of Python's."""
    return "mend:" in error and not re.search(r"Traceback|File \"|\.py[:(]|line \d+", error)


@pytest.fixture(autouse=True)
def nothing_is_left(workplace: Path) -> None:
    """Before each test no server of an earlier one may live."""
    assert wait_until(lambda: not servers_of(workplace), 15)


@pytest.mark.slow
def test_interrupted_in_mid_sweep_it_keeps_what_it_has_and_goes_on(workplace: Path) -> None:
    opened = poc_of(workplace, "interrupted")
    with kernels.kernel_of(workplace) as kernel:
        kernel.run(opened)
        cell = kernel.begin(MEASURE)
        assert wait_until(lambda: measured(workplace, "interrupted"), 60)
        kernel.manager.interrupt_kernel()
        _, error = kernel.end(cell)
        assert is_plain(error) and "interrupted" in error, error
        assert wait_until(lambda: not servers_of(workplace), 15)
        before = {p: p.stat().st_mtime_ns for p in measured(workplace, "interrupted")}
        assert 0 < len(before) < 4
        _, error = kernel.run(MEASURE)
        assert error == "" and len(measured(workplace, "interrupted")) == 4
        assert before.items() <= {p: p.stat().st_mtime_ns for p in measured(workplace, "interrupted")}.items()


@pytest.mark.slow
def test_a_server_killed_behind_its_back_is_said(workplace: Path) -> None:
    opened = poc_of(workplace, "robbed")
    with kernels.kernel_of(workplace) as kernel:
        kernel.run(opened)
        cell = kernel.begin(MEASURE)
        assert wait_until(lambda: measured(workplace, "robbed"), 60)
        for pid in servers_of(workplace):
            os.kill(pid, signal.SIGKILL)
        _, error = kernel.end(cell)
        assert is_plain(error), error
        assert wait_until(lambda: not servers_of(workplace), 15)
        assert kernel.run(MEASURE)[1] == "" and len(measured(workplace, "robbed")) == 4


def test_a_cell_out_of_order_says_what_comes_first_and_a_second_time_changes_nothing(workplace: Path) -> None:
    opened = poc_of(workplace, "twice")
    with kernels.kernel_of(workplace) as kernel:
        _, error = kernel.run("workshop.inspect(poc)")
        assert is_plain(error) and "'poc'" in error, error
        for code in (opened, "workshop.inspect(poc)", MEASURE, "workshop.explore(run)", "workshop.decision(run)"):
            assert kernel.run(code)[1] == "", code
        before = measured(workplace, "twice")
        for code in (opened, MEASURE, "workshop.decision(run)", "server = workshop.serve(run)"):
            assert kernel.run(code)[1] == "", code
        assert measured(workplace, "twice") == before
        for _ in range(2):
            assert kernel.run("workshop.clean_up(server)")[1] == ""


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [("shared", "shared"), ("ours", "theirs")])
def test_of_two_notebooks_at_once_one_waits_its_turn(workplace: Path, first: str, second: str) -> None:
    """Whether they measure the same PoC or two: side by side they would take the cores from each other."""
    opened, another = poc_of(workplace, first), poc_of(workplace, second)
    with kernels.kernel_of(workplace) as one, kernels.kernel_of(workplace) as other:
        one.run(opened), other.run(another)
        cell = one.begin(MEASURE)
        assert wait_until(lambda: servers_of(workplace), 60)
        text, error = other.run(MEASURE)
        assert error == "" and f"another notebook is measuring {first}" in text and "Interrupt" in text
        assert one.end(cell)[1] == ""
        assert len(measured(workplace, first)) == len(measured(workplace, second)) == 4


@pytest.mark.slow
def test_a_killed_kernel_leaves_no_process(workplace: Path) -> None:
    opened = poc_of(workplace, "killed")
    with kernels.kernel_of(workplace) as kernel:
        kernel.run(opened)
        kernel.begin(MEASURE)
        assert wait_until(lambda: measured(workplace, "killed"), 60)
        kernel.manager.signal_kernel(signal.SIGKILL)
        assert wait_until(lambda: not processes_of(workplace / "runs"), 20), processes_of(workplace / "runs")
    with kernels.kernel_of(workplace) as kernel:
        kernel.run(opened)
        assert kernel.run(MEASURE)[1] == "" and len(measured(workplace, "killed")) == 4


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('workshop.open_poc("pocs/absent")', "absent"),
        ('workshop.decided(("latest:absent", "nowhere"))', ""),
        ('workshop.handover(())', "no run is named"),
        ('workshop.handover(("latest:absent",), output="pocs")', "no handover"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_a_message(code: str, said: str, workplace: Path) -> None:
    with kernels.kernel_of(workplace) as kernel:
        text, error = kernel.run(code)
        if said:
            assert is_plain(error) and said in error, error
        else:
            assert error == "" and "0 of 2 runs are there" in text


#: A model that opens and runs, and for whose operator ONNX has no counterpart.
NOT_EXPORTABLE = """
import numpy as np
import torch


class Model(torch.nn.Module):
    def forward(self, image):
        return torch.linalg.eigvals(image).real


def load_model():
    return Model()


def sample_inputs(seed, n):
    return {"image": np.random.default_rng(seed).standard_normal((n, 4, 4)).astype(np.float32)}
"""


def test_a_model_that_opens_and_cannot_be_exported_is_said(workplace: Path) -> None:
    opened = poc_of(workplace, "stubborn")
    (workplace / "pocs" / "stubborn" / "model.py").write_text(NOT_EXPORTABLE)
    with kernels.kernel_of(workplace) as kernel:
        kernel.run(opened.removesuffix(")") + ', model="pocs/stubborn/model.py:load_model")')
        text, error = kernel.run("workshop.pick_model(poc)")
        assert error == "" and "PASS: pytorch" in text
        _, error = kernel.run("run = workshop.build(poc)")
        # The customer's own file is named, and no line of ours.
        assert is_plain(error.replace("stubborn/model.py:", "")) and "ONNX has no counterpart of aten.linalg_eig" in error, error
        assert "'run' is not there" in kernel.run("workshop.serve(run)")[1]
