"""poc.yaml: every folder reads, and what is wrong is named with file and field."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from toolkit.errors import ConfigurationError, ToolkitError, UsageError
from toolkit.poc import merged, read_poc, read_resolved
from toolkit.records import to_data, write_text

POCS = Path(__file__).parents[1] / "pocs"
GOOD = {
    "schema": 1,
    "family": "vision",
    "title": "t",
    "models": {"net": {"source": "model.onnx"}},
    "loads": [{"clients": 2}],
    "slo": "p99=20ms",
}


def folder_with(tmp_path: Path, change: dict[str, object]) -> Path:
    write_text(tmp_path / "poc.yaml", yaml.safe_dump({k: v for k, v in (GOOD | change).items() if v is not None}))
    return tmp_path


@pytest.mark.parametrize("folder", sorted(POCS.glob("*/poc.yaml")), ids=lambda p: p.parent.name)
@pytest.mark.parametrize("smoke", [False, True])
def test_every_poc_reads_and_survives_resolution(folder: Path, smoke: bool, tmp_path: Path) -> None:
    poc = read_poc(folder.parent, smoke=smoke)
    write_text(tmp_path / "resolved.yaml", yaml.safe_dump(to_data(poc.file)))
    assert read_resolved(tmp_path / "resolved.yaml", poc.name).file == poc.file
    assert (folder.parent / "README.md").is_file()
    model = folder.parent / "model.py"
    assert not model.exists() or len(model.read_text().splitlines()) <= 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"looads": []}, r"poc\.yaml\.looads is not a field of PocFile; did you mean 'loads'"),
        ({"loads": [{"client": 4}]}, r"loads\[0\]\.client is not a field of Concurrency; did you mean 'clients'"),
        ({"loads": [{"clients": "many"}]}, r"loads\[0\]\.clients is 'many'; expected a whole number"),
        ({"loads": []}, "loads is empty"),
        ({"models": {}}, "models is empty"),
        ({"models": {"net": {"source": 3}}}, r"models\.net\.source is 3; expected text"),
        ({"slo": "p99"}, "slo"),
        ({"slo": "p99="}, "slo"),
        ({"slo": "p99=20"}, "unit"),
        ({"slo": 20}, r"slo is 20; expected text"),
        ({"slo": None}, "slo is missing"),
        ({"family": "cars"}, "family is 'cars'; expected one of vision"),
        ({"schema": 7}, "schema"),
        ({"search": {"candidates": {"a": {"nett": {}}}}}, r"search\.candidates\.a\.nett is not an entry; entries: net"),
        ({"models": {"a": {"source": "x"}, "b": {"source": "y"}}}, "2 models and no pipeline"),
        ({"pipeline": {"name": "p", "steps": [{"model": "x", "inputs": {}, "outputs": {}}]}}, "step 'x' is neither"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_poc(folder_with(tmp_path, change))
    assert "poc.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["schema: [", "- 1\n- 2\n", "\x00"])
def test_a_file_that_is_no_mapping_is_named(text: str, tmp_path: Path) -> None:
    write_text(tmp_path / "poc.yaml", text)
    with pytest.raises(ConfigurationError, match=r"poc\.yaml"):
        read_poc(tmp_path)


def test_a_folder_without_poc_yaml_names_the_mend(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError) as caught:
        read_poc(tmp_path / "absent")
    assert "toolkit new" in caught.value.mend


def test_smoke_settings_and_model_change_what_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path, {"smoke": {"loads": [{"clients": 1}]}})
    assert read_poc(folder).file.loads[0].clients == 2
    assert read_poc(folder, smoke=True).file.loads[0].clients == 1
    changed = read_poc(folder, settings=("models.net.config.max_batch_size=4", "slo=p50=3ms"), model="other.onnx")
    assert changed.file.models["net"].config == {"max_batch_size": 4}
    assert changed.source_of("net") == str(Path("other.onnx").resolve())
    monkeypatch.setenv("POC_FAST", "1")
    assert read_poc(folder).file.loads[0].clients == 1
    with pytest.raises(UsageError, match="KEY=VALUE"):
        read_poc(folder, settings=("nothing",))


def test_merging_replaces_lists_and_candidates_and_merges_mappings() -> None:
    base = {"a": {"x": 1, "y": 2}, "l": [1, 2], "search": {"candidates": {"p": {}, "q": {}}}}
    change = {"a": {"y": 3}, "l": [9], "search": {"candidates": {"p": {}}}}
    assert merged(base, change) == {"a": {"x": 1, "y": 3}, "l": [9], "search": {"candidates": {"p": {}}}}


def test_a_step_may_serve_files_of_the_folder_itself(tmp_path: Path) -> None:
    steps = {
        "own": {"step": "text_tokenize", "files": "./tokenizer"},
        "none": {"step": "best_of"},
    }
    poc = read_poc(folder_with(tmp_path, {"steps": steps}))
    assert poc.own_files_of("own") == poc.folder / "tokenizer"
    assert poc.own_files_of("none") is None
    with pytest.raises(ConfigurationError, match=r"steps\.own\.files names 'tokenizer', which is not made here"):
        read_poc(folder_with(tmp_path, {"steps": {"own": {"step": "text_tokenize", "files": "tokenizer"}}}))
