"""The views without a browser: widgets are driven from Python, and what they show is read back."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest
from tiny_poc import points_of, processes_of, save_model, wait_until

from toolkit import workshop
from toolkit.records import read_json
from toolkit.report.answers import Answer, best_configuration
from toolkit.tune.decision import Decision
from toolkit.workflow.edit import setting_of
from toolkit.workflow.runs import locked
from toolkit.workshop.live import DONE, STOP, STOPPED, STOPPING, Live, Stopped
from toolkit.workshop.opened import Opened
from toolkit.workshop.picking import Picker
from toolkit.workshop.plain import WorkshopStop


def test_a_run_leaves_pictures_with_text_and_the_same_words_everywhere(measured: Path, capsys: Any) -> None:
    for view in (workshop.curve(measured), workshop.where_time_goes(measured), workshop.pareto(measured)):
        bundle = view._repr_mimebundle_()
        assert set(bundle) >= {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
        assert "currentColor" in view.widget.value and "<desc" in view.widget.value
        assert bundle["text/plain"] and len(bundle["image/png"]) < 60_000
    workshop.proven(measured)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["PASS"] * 4


def test_what_if_judges_the_same_points_by_another_limit(measured: Path) -> None:
    view = workshop.explore(measured)
    chart, sentence = view.widget.children[2], view.widget.children[1]
    view.names["limit"].value = 5000
    lenient = sentence.value
    view.names["limit"].value = 1
    assert sentence.value != lenient and "5000 ms" not in chart.value
    view.names["limit"].value = -3  # out of range: kept within it
    assert view.names["limit"].value == 1


def test_the_editor_lints_what_is_typed_and_shows_the_difference(measured: Path) -> None:
    editor = workshop.configure(measured)
    assert editor.settings == ()
    editor.fields["max_batch_size"].value = "4"
    assert "max_batch_size 8 -> 4" in editor.text and editor.text.startswith("PASS")
    editor.fields["preferred_batch_size"].value = "16"
    assert editor.text.startswith("FAIL") and "TR004" in editor._beside["preferred_batch_size"].value
    editor.fields["preferred_batch_size"].value = ""
    editor.fields["instance_group.count"].value = "many"
    assert "instance_group.count is 'many'" in editor.text and "Traceback" not in editor.text
    editor.fields["instance_group.count"].value = "1"
    assert editor.change == {"net": {"max_batch_size": 4}}
    assert editor.settings == (setting_of("edited", {"net": {"max_batch_size": 4}}),)
    assert json.loads(editor.settings[0].partition("=")[2]) == {"edited": editor.change}


def test_the_editor_leaves_the_served_repository_alone(measured: Path) -> None:
    config = next(measured.glob("*repository/net/config.pbtxt"))
    before = {path: path.read_text() for path in measured.glob("*repository/net/config.pbtxt")}
    workshop.configure(measured).fields["max_batch_size"].value = "2"
    assert {path: path.read_text() for path in before} == before and config in before


def test_a_picker_refuses_what_it_cannot_open_and_keeps_the_last_one(tiny: Opened, tmp_path: Path) -> None:
    picker = Picker(tiny)
    assert picker.text.startswith("PASS: onnx")
    picker.path.value = "no/such/model.onnx"
    assert "no/such/model.onnx is not there" in picker.text and "mend:" in picker.text and picker.opened == tiny
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    picker.path.value = str(broken)
    assert picker.text.startswith("FAIL") and "Traceback" not in picker.text and picker.opened == tiny
    other = save_model(tmp_path / "other.onnx")
    picker.path.value = str(other)
    assert picker.text.startswith("PASS") and picker.opened.model == str(other)


def test_an_uploaded_model_takes_the_place_of_the_pocs(tiny: Opened, tmp_path: Path) -> None:
    picker = Picker(replace(tiny, root=tmp_path))
    content = save_model(tmp_path / "mine.onnx").read_bytes()
    picker._take(({"name": "../../mine.onnx", "content": memoryview(content)},))
    assert (tmp_path / "uploads" / "mine.onnx").read_bytes() == content
    assert picker.opened.model == str(tmp_path / "uploads" / "mine.onnx")


def test_sliders_redraw_the_plan_and_keep_only_what_is_kept(measured: Path) -> None:
    view = workshop.size(measured, peak=50, headroom=0.3)
    kept = (measured / "plan.json").read_text()
    said = view.names["said"]
    before = said.value
    view.names["price"].value = 2.0
    assert said.value != before and "EUR a month" in said.value and (measured / "plan.json").read_text() == kept
    view.names["keep"].click()
    assert "EUR" in (measured / "plan.json").read_text()
    with pytest.raises(WorkshopStop, match=r"--headroom is 1\.5"):
        workshop.size(measured, peak=50, headroom=1.5)
    with pytest.raises(WorkshopStop, match="--rate is -1"):
        workshop.size(measured, peak=-1)


@pytest.mark.slow
def test_a_diagnosis_and_a_race_leave_a_verdict_each_in_its_own_run(tiny: Opened, measured: Path, capsys: Any) -> None:
    tuned = workshop.tune(tiny, budget="4s", slo="p99=1s")
    diagnosis = workshop.diagnose(measured, window="500ms")
    assert (tuned / "tuned.json").is_file() and (diagnosis / "diagnosis.json").is_file()
    said = capsys.readouterr().out
    assert "What limits it:" in said or "Nothing is named" in said
    again = workshop.tune(tiny, budget="4s", slo="p99=1s")  # the diagnosis is the newest run of that name now
    assert again == tuned
    assert "configurations were tried" in workshop.race_of(tuned).text and workshop.standings(tuned).caption


def test_a_card_says_what_the_report_says(measured: Path) -> None:
    card = workshop.decision(measured)
    decided = read_json(measured / "decision.json", Decision)
    assert card.word.startswith("GO") and decided.outcome == "PASS"
    assert "role='region'" in card._repr_html_() and repr(card).startswith(card.word)


def test_a_bundle_is_a_list_of_files_with_a_look_into_each(measured: Path) -> None:
    view = workshop.deploy(measured)
    files, look = view.names["files"], view.names["preview"]
    assert view.text.startswith("PASS") and "README.md" in view.text
    files.value = next(name for _, name in files.options if name.endswith("model.onnx"))
    assert "is not text" in look.value
    files.value = next(name for _, name in files.options if name.endswith("net/config.pbtxt"))
    assert "max_batch_size" in look.value


def test_predictions_are_checked_against_what_was_measured(capsys: Any) -> None:
    answer = Answer(right=("one",), said="one serves 10 requests/s")
    which = workshop.predict("Which?", ("one", "other"))
    workshop.check(which, answer, hint="look again")
    which.buttons.value = "one"
    workshop.check(which, answer, hint="look again")
    which.buttons.value = "other"
    workshop.check(which, answer, hint="look again")
    workshop.check(which, best_configuration(()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["OPEN: nothing was predicted; one serves 10 requests/s", "PASS: one serves 10 requests/s"]
    assert lines[2:4] == ["FAIL: you said 'other'; one serves 10 requests/s", "  hint: look again"]
    assert lines[4].startswith("OPEN: no measurement")


# --- stopping, interrupting, and what goes wrong behind the notebook's back -------------------------------------------


def test_stop_pressed_twice_is_one_stop() -> None:
    live = Live("Measuring")
    live.say("a point")
    live.button.click()
    live.button.click()
    assert live.button.description == STOPPING and live.button.disabled
    with pytest.raises(Stopped):
        live.say("the next point")
    live.end("1 of 2 points")
    assert live.button.description == STOPPED
    other = Live("Measuring")
    other.end("2 of 2 points")
    assert other.button.description == DONE


def stop_buttons() -> list[widgets.Button]:
    """The Stop buttons that can be pressed, as a page would find them."""
    there = list(widgets.widget._instances.values())
    return [w for w in there if isinstance(w, widgets.Button) and w.description == STOP and not w.disabled]


def test_stop_keeps_what_was_measured_and_the_same_call_goes_on(tiny: Opened, tmp_path: Path) -> None:
    opened = replace(tiny, root=tmp_path / "runs")
    before = stop_buttons()

    def press() -> None:
        assert wait_until(lambda: points_of(tmp_path / "runs"), 60)
        next(button for button in stop_buttons() if button not in before).click()

    clicking = threading.Thread(target=press)
    clicking.start()
    run = workshop.measure(opened)
    clicking.join()
    points = list(run.glob("trials/*/*/measurement.json"))
    assert 0 < len(points) < 4 and (run / "report.html").is_file() and (run / "decision.json").is_file()
    assert not processes_of(tmp_path)
    assert workshop.measure(opened) == run and len(list(run.glob("trials/*/*/measurement.json"))) == 4


def test_an_interrupt_in_mid_sweep_is_a_plain_message_and_leaves_no_process(tiny: Opened, tmp_path: Path) -> None:
    opened = replace(tiny, root=tmp_path / "runs")

    def interrupt() -> None:
        assert wait_until(lambda: points_of(tmp_path / "runs"), 60)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(WorkshopStop, match="interrupted; what was finished is kept"):
        workshop.measure(opened)
    assert not processes_of(tmp_path)


def test_a_server_that_was_killed_is_a_plain_message_with_the_mend(tiny: Opened, tmp_path: Path) -> None:
    opened = replace(tiny, root=tmp_path / "runs")

    def kill() -> None:
        assert wait_until(lambda: points_of(tmp_path / "runs"), 60)
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace") if path.exists() else ""
            if "bin/tritonserver" in words.split(" ")[0] and str(tmp_path) in words:
                os.kill(int(path.parent.name), signal.SIGKILL)

    threading.Thread(target=kill).start()
    with pytest.raises(WorkshopStop, match="mend:"):
        workshop.measure(opened)
    assert not processes_of(tmp_path)


def test_two_notebooks_at_once_are_told_so(tiny: Opened, measured: Path) -> None:
    with locked(measured), pytest.raises(WorkshopStop, match="is being written by another process"):
        workshop.measure(tiny)


def test_a_served_run_ends_once_and_for_all(measured: Path) -> None:
    server = workshop.serve(measured)
    assert server.is_alive
    assert repr(workshop.clean_up(server)) == repr(workshop.clean_up(server))
    assert not server.is_alive
    assert not processes_of(measured)


def test_what_comes_too_early_says_what_comes_first(tmp_path: Path) -> None:
    with pytest.raises(WorkshopStop, match="is not decided yet"):
        workshop.decision(tmp_path)
    with pytest.raises(WorkshopStop, match="is not a PoC folder"):
        workshop.open_poc(str(tmp_path))
