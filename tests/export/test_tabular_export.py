"""Tabular models: what converters get wrong is put right, bit for bit where the original is exact."""

from __future__ import annotations

import pickle

import joblib
import numpy as np
import pytest
import skops.io
from model_zoo import FEATURES, TABULAR, customers, scaled_xgboost, string_pipeline, table
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler, SplineTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC

from toolkit.errors import ExportFailed, ModelRefused
from toolkit.export.check import check_parity
from toolkit.export.onnxruntime import run_onnx
from toolkit.export.spec import ExportSpec, WorkerRequest
from toolkit.export.tabular_export import export_tabular, inspect_tabular, load_tabular
from toolkit.models.onnx import opset_of, read_onnx, signature_from_onnx
from toolkit.models.source import source_from_path


def quiet(_):
    pass


@pytest.fixture
def saved(tmp_path):
    """The path of an estimator that was saved with skops."""

    def save(estimator):
        skops.io.dump(estimator, tmp_path / "model.skops")
        return tmp_path / "model.skops"

    return save


def exported(path, folder, *, trust=False, **spec):
    folder.mkdir(exist_ok=True)
    source = source_from_path(str(path), trust=trust)
    export_tabular(WorkerRequest(action="export", source=source, spec=ExportSpec(**spec)), folder, quiet)
    return folder / "model.onnx"


@pytest.mark.parametrize("brought", TABULAR, ids=lambda b: b.name)
def test_every_library_ends_in_the_same_contract(brought, tmp_path):
    """A label and its probabilities, one per row; no maps; the opset that was asked for; the original's answers."""
    path = exported(brought.make(tmp_path / "in", 3), tmp_path / "out", sample_count=200)
    label, probabilities = signature_from_onnx(path).outputs
    assert (label.name, label.shape, label.dtype) == ("label", ("batch",), label.dtype) and label.dtype != "FP32"
    assert probabilities.name == "probabilities" and probabilities.shape[0] == "batch"
    assert isinstance(probabilities.shape[1], int) and opset_of(read_onnx(path)) == 20
    parity = check_parity(path.parent, ExportSpec())
    assert parity.passed and parity.outputs[1].max_absolute < 1e-6, parity.reason


@pytest.mark.parametrize("scaler", [StandardScaler(), RobustScaler(), MinMaxScaler(), MinMaxScaler(clip=True)])
@pytest.mark.parametrize("doubles", [False, True])
def test_scalers_are_exact_to_the_bit(saved, tmp_path, scaler, doubles):
    rows, _ = table(0)
    scaler.fit(rows.astype(np.float64) if doubles else rows)
    more, _ = table(1, rows=4000)
    answer = run_onnx(exported(saved(scaler), tmp_path / "out"), {"features": more})["transformed"]
    assert np.array_equal(answer, scaler.transform(more))


def test_trees_behind_a_scaler_do_not_go_the_other_way(saved, tmp_path):
    """The training rows lie on the thresholds themselves: skl2onnx's own scaler moves up to a fifth of such rows."""
    pipeline, (rows, _) = scaled_xgboost(0), table(0)
    answer = run_onnx(exported(saved(pipeline), tmp_path / "out"), {"features": rows})
    assert np.abs(answer["probabilities"] - pipeline.predict_proba(rows)).max() < 1e-6


def test_a_missing_number_takes_the_branch_that_the_forest_learned(saved, tmp_path):
    rows, labels = table(0)
    rows[::4, 0] = np.nan
    forest = RandomForestClassifier(9, random_state=0).fit(rows, labels)
    answer = run_onnx(exported(saved(forest), tmp_path / "out"), {"features": rows})
    assert np.abs(answer["probabilities"] - forest.predict_proba(rows)).max() < 1e-6


def test_missing_and_unknown_texts_are_what_the_pipeline_makes_of_them(saved, tmp_path):
    pipeline, (frame, _) = string_pipeline(0), customers(1)
    frame.loc[::7, "city"] = "Atlantis"
    path = exported(saved(pipeline), tmp_path / "out")
    texts = {n: frame[[n]].fillna("").to_numpy(dtype=object) for n in ("city", "plan")}
    inputs = {n: frame[[n]].to_numpy(dtype=np.float32) for n in ("age", "income")} | texts
    answer = run_onnx(path, inputs)
    assert answer["label"].tolist() == pipeline.predict(frame).tolist()
    assert np.abs(answer["probabilities"] - pipeline.predict_proba(frame)).max() < 1e-6
    assert [t.dtype for t in signature_from_onnx(path).inputs] == ["FP32", "FP32", "BYTES", "BYTES"]


@pytest.mark.parametrize(
    ("estimator", "outputs"),
    [
        (SVC(), ["label"]),
        (LinearSVC(), ["label"]),
        (Ridge(), ["prediction"]),
        (make_pipeline(StandardScaler(), LogisticRegression()), ["label", "probabilities"]),
        (KNeighborsClassifier(), ["label", "probabilities"]),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, list) else "",
)
def test_other_estimators(saved, tmp_path, estimator, outputs):
    path = exported(saved(estimator.fit(*table(0))), tmp_path / "out", sample_count=40)
    assert [t.name for t in signature_from_onnx(path).outputs] == outputs
    assert check_parity(path.parent, ExportSpec()).passed


def test_splits_on_categories_are_refused_and_not_written_as_thresholds(tmp_path):
    rows, labels = table(0)
    rows[:, 5] = np.arange(len(rows)) % 4
    joblib.dump(
        HistGradientBoostingClassifier(max_iter=3, categorical_features=[5]).fit(rows, labels), tmp_path / "m.joblib"
    )
    with pytest.raises(ExportFailed, match="splits on categories") as caught:
        exported(tmp_path / "m.joblib", tmp_path / "out", trust=True)
    assert "OneHotEncoder" in caught.value.mend


def test_what_is_not_a_fitted_estimator_is_refused(saved, tmp_path):
    with pytest.raises(ModelRefused, match=r"LogisticRegression, no fitted scikit-learn estimator"):
        exported(saved(LogisticRegression()), tmp_path / "out")
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"weights": [1, 2]}))
    with pytest.raises(ModelRefused, match=r"holds a builtins\.dict, no fitted"):
        exported(tmp_path / "m.pkl", tmp_path / "out", trust=True)


def test_functions_in_a_skops_file_need_trust(saved, tmp_path):
    path = saved(make_pipeline(FunctionTransformer(print), LogisticRegression().fit(*table(0))))
    with pytest.raises(ModelRefused, match="which are code beyond scikit-learn"):
        load_tabular(source_from_path(str(path)))


def test_a_step_without_a_converter_is_named(tmp_path):
    joblib.dump(make_pipeline(SplineTransformer(), LogisticRegression()).fit(*table(0)), tmp_path / "m.joblib")
    with pytest.raises(ExportFailed, match=r"skl2onnx .* cannot convert it: .*SplineTransformer"):
        exported(tmp_path / "m.joblib", tmp_path / "out", trust=True)


def test_inspection_tells_columns_trees_and_sizes(tmp_path):
    path = next(b for b in TABULAR if b.name == "sklearn-strings").make(tmp_path / "in", 0)
    found = inspect_tabular(WorkerRequest(action="inspect", source=source_from_path(path)), tmp_path, quiet)
    assert [t.name for t in found["signature"].inputs] == ["age", "income", "city", "plan"]
    assert found["operators"]["OneHotEncoder"] == 1 and found["parameters"] > 7
    path = next(b for b in TABULAR if b.name == "lightgbm").make(tmp_path / "in", 0)
    found = inspect_tabular(WorkerRequest(action="inspect", source=source_from_path(path)), tmp_path, quiet)
    assert found["operators"]["trees"] == 15 and "Column_0" in found["notes"][0]
    assert found["signature"].inputs[0].shape == ("batch", FEATURES)


# --- samples from tables ----------------------------------------------------------------------------------------------


def test_a_table_of_the_customers_own_rows(saved, tmp_path):
    """Columns by name in any order, others left out, an empty field is missing."""
    csv = tmp_path / "rows.csv"
    csv.write_text("city,id,plan,income,age\nOslo,1,plus,50000,\n,2,basic,3e4,33\nRoma,3,plus,1,20\n", encoding="utf-8")
    folder = exported(saved(string_pipeline(0)), tmp_path / "out", samples=csv).parent
    with np.load(folder / "samples.npz") as samples:
        assert samples["city"].tolist() == [[b"Oslo"], [b""], [b"Roma"]]
        assert np.isnan(samples["age"][0, 0]) and samples["income"][1, 0] == 3e4
    assert check_parity(folder, ExportSpec()).passed
