"""Models as customers bring them, small and seeded: each writes its files into a folder and returns the MODEL text.

Architectures from their configs with random weights, trees fitted on generated tables. Nothing is fetched.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROWS, FEATURES = 300, 6


@dataclass(frozen=True)
class Brought:
    """A model to bring: `make(folder, seed)` returns the MODEL text; `trust` where its format needs it."""

    name: str
    make: Callable[[Path, int], str]
    trust: bool = False


# --- Hugging Face folders ---------------------------------------------------------------------------------------------


def _huggingface(architecture: str, config: str, **sizes: Any) -> Callable[[Path, int], str]:
    def make(folder: Path, seed: int) -> str:
        import torch
        import transformers

        torch.manual_seed(seed)
        model = getattr(transformers, architecture)(getattr(transformers, config)(**sizes)).eval()
        for module in model.modules():  # running statistics of an untrained model are 0 and 1, which hides mistakes
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
        model.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text('{"size": {"height": 64, "width": 48}}')
        return str(folder)

    return make


_TEXT: dict[str, Any] = {"vocab_size": 120, "max_position_embeddings": 24}
_BERT = _TEXT | {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
_DISTILBERT = _TEXT | {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48}
_VIT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
}

HUGGINGFACE = (
    Brought(
        "resnet50",
        _huggingface(
            "ResNetForImageClassification",
            "ResNetConfig",
            embedding_size=8,
            hidden_sizes=[16, 24, 32, 48],
            depths=[3, 4, 6, 3],  # those of ResNet-50, on narrow channels
            layer_type="bottleneck",
            num_labels=7,
        ),
    ),
    Brought(
        "convnext",
        _huggingface(
            "ConvNextForImageClassification",
            "ConvNextConfig",
            hidden_sizes=[8, 16, 24, 32],
            depths=[1, 1, 2, 1],
            image_size=64,
            num_labels=5,
        ),
    ),
    Brought("vit", _huggingface("ViTForImageClassification", "ViTConfig", **_VIT, num_labels=5)),
    Brought(
        "yolos",
        _huggingface(
            "YolosForObjectDetection",
            "YolosConfig",
            **(_VIT | {"image_size": [32, 48]}),
            num_detection_tokens=6,
            num_labels=4,
        ),
    ),
    Brought("bert-sequence", _huggingface("BertForSequenceClassification", "BertConfig", **_BERT, num_labels=3)),
    Brought("bert-tokens", _huggingface("BertForTokenClassification", "BertConfig", **_BERT, num_labels=5)),
    Brought(
        "distilbert-sequence",
        _huggingface("DistilBertForSequenceClassification", "DistilBertConfig", **_DISTILBERT, num_labels=3),
    ),
    Brought(
        "distilbert-tokens",
        _huggingface("DistilBertForTokenClassification", "DistilBertConfig", **_DISTILBERT, num_labels=5),
    ),
    Brought(
        "whisper-encoder",
        _huggingface(
            "WhisperForConditionalGeneration",
            "WhisperConfig",
            d_model=32,
            encoder_layers=2,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=48,
            decoder_ffn_dim=48,
            vocab_size=60,
            num_mel_bins=16,
            max_source_positions=24,
            max_target_positions=12,
            pad_token_id=1,
            bos_token_id=2,
            eos_token_id=3,
            decoder_start_token_id=2,
            suppress_tokens=None,
            begin_suppress_tokens=None,
        ),
    ),
)

# --- recommenders, as Python files ------------------------------------------------------------------------------------

_DLRM = """\
import numpy as np, torch

ROWS = (40, 30, 50)

class Ranker(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.tables = torch.nn.ModuleList({table} for rows in ROWS)
        self.bottom = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.ReLU(), torch.nn.Linear(16, 8))
        self.top = torch.nn.Sequential(torch.nn.Linear(8 + 6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))

    def forward(self, dense, sparse):
        x = self.bottom(dense)
        vectors = [x] + [{lookup} for i, table in enumerate(self.tables)]
        stacked = torch.stack(vectors, dim=1)
        products = stacked @ stacked.transpose(1, 2)
        left, right = torch.tril_indices(4, 4, offset=-1)
        pairs = products[:, left, right]
        return torch.sigmoid(self.top(torch.cat([x, pairs], dim=1))).squeeze(1)

def load_model(): return Ranker()

def sample_inputs(seed, n):
    r = np.random.default_rng(seed)
    sparse = np.stack([r.integers(0, rows, {size}) for rows in ROWS], axis=1)
    return {{"dense": r.standard_normal((n, 5)).astype(np.float32), "sparse": sparse}}
"""
_TWO_TOWER = """\
import numpy as np, torch

class Towers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.users, self.items = torch.nn.Embedding(60, 16), torch.nn.Embedding(80, 16)
        self.user_tower = torch.nn.Sequential(torch.nn.Linear(16, 24), torch.nn.ReLU(), torch.nn.Linear(24, 8))
        self.item_tower = torch.nn.Sequential(torch.nn.Linear(16, 24), torch.nn.ReLU(), torch.nn.Linear(24, 8))

    def forward(self, user, item):
        u = torch.nn.functional.normalize(self.user_tower(self.users(user)), dim=-1)
        i = torch.nn.functional.normalize(self.item_tower(self.items(item)), dim=-1)
        return {"user_vector": u, "item_vector": i, "score": (u * i).sum(-1)}

def load_model(): return Towers()

def sample_inputs(seed, n):
    r = np.random.default_rng(seed)
    return {"user": r.integers(0, 60, n), "item": r.integers(0, 80, n)}
"""


def _python(text: str) -> Callable[[Path, int], str]:
    def make(folder: Path, seed: int) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.py").write_text(
            text.replace("load_model(): ", f"load_model():\n    torch.manual_seed({seed})\n    ")
        )
        return str(folder / "model.py")

    return make


def _dlrm(table: str, lookup: str, size: str) -> Callable[[Path, int], str]:
    return _python(_DLRM.format(table=table, lookup=lookup, size=size))


RECOMMENDERS = (
    Brought("dlrm-embedding", _dlrm("torch.nn.Embedding(rows, 8)", "table(sparse[:, i])", "n")),
    Brought(
        "dlrm-bag",
        _dlrm("torch.nn.EmbeddingBag(rows, 8, mode='sum')", "table(sparse[:, i])", "(n, 4)"),
    ),
    Brought(
        "dlrm-bag-offsets",
        _dlrm(
            "torch.nn.EmbeddingBag(rows, 8, mode='mean', include_last_offset=True)",
            "table(sparse[:, i].reshape(-1), torch.arange(sparse.shape[0] + 1) * 4)",
            "(n, 4)",
        ),
    ),
    Brought("two-tower", _python(_TWO_TOWER)),
)

# --- tables -----------------------------------------------------------------------------------------------------------


def table(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Features [rows, 6] float32 away from zero, and labels 0 or 1."""
    random = np.random.default_rng(seed)
    features = (random.standard_normal((rows, FEATURES)) * 37 + 11).astype(np.float32)
    return features, (features[:, 0] + features[:, 1] * features[:, 2] / 37 > 20).astype(int)


def customers(seed: int, rows: int = ROWS) -> tuple[Any, np.ndarray]:
    """A DataFrame with numbers, texts and missing values of both, and labels "no" or "yes"."""
    import pandas

    random = np.random.default_rng(seed)
    frame = pandas.DataFrame(
        {
            "age": random.integers(18, 80, rows).astype(np.float32),
            "income": random.lognormal(10, 1, rows).astype(np.float32),
            "city": random.choice(["Paris", "Oslo", "Zürich"], rows).astype(object),
            "plan": random.choice(["basic", "plus"], rows).astype(object),
        }
    )
    labels = np.where((frame["age"] > 45) ^ (frame["city"] == "Oslo"), "yes", "no")
    frame.loc[random.random(rows) < 0.1, "age"] = np.nan
    frame.loc[random.random(rows) < 0.1, "city"] = np.nan
    return frame, labels


def _skops(build: Callable[[int], Any]) -> Callable[[Path, int], str]:
    def make(folder: Path, seed: int) -> str:
        import skops.io

        folder.mkdir(parents=True, exist_ok=True)
        skops.io.dump(build(seed), folder / "model.skops")
        return str(folder / "model.skops")

    return make


def string_pipeline(seed: int) -> Any:
    """Imputers, a scaler and one-hot encoding of texts in front of a linear model, fitted."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer([("numbers", numbers, ["age", "income"]), ("texts", texts, ["city", "plan"])])
    return make_pipeline(columns, LogisticRegression()).fit(*customers(seed))


def _random_forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(15, random_state=seed).fit(*table(seed))


def _hist_gradient_boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    features, labels = table(seed)
    features[::9, 0] = np.nan
    return HistGradientBoostingClassifier(max_iter=15, random_state=seed).fit(features, labels)


def scaled_xgboost(seed: int) -> Any:
    """A scaler in front of XGBoost: the pair whose float32 conversion diverges unless the scaler is exact."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from xgboost import XGBClassifier

    return make_pipeline(StandardScaler(), XGBClassifier(n_estimators=15, n_jobs=1)).fit(*table(seed))


def _xgboost(folder: Path, seed: int) -> str:
    import xgboost

    folder.mkdir(parents=True, exist_ok=True)
    features, labels = table(seed)
    parameters = {"objective": "multi:softprob", "num_class": 3, "nthread": 1}
    labels = labels + (features[:, 4] > 30)
    xgboost.train(parameters, xgboost.DMatrix(features, labels), 10).save_model(folder / "model.ubj")
    return str(folder / "model.ubj")


def _lightgbm(folder: Path, seed: int) -> str:
    import lightgbm

    folder.mkdir(parents=True, exist_ok=True)
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1}
    lightgbm.train(parameters, lightgbm.Dataset(*table(seed)), 15).save_model(folder / "model.txt")
    return str(folder / "model.txt")


def _catboost(folder: Path, seed: int) -> str:
    import catboost

    folder.mkdir(parents=True, exist_ok=True)
    model = catboost.CatBoostClassifier(
        iterations=15, depth=4, verbose=0, allow_writing_files=False, thread_count=1, random_seed=seed
    )
    model.fit(*table(seed)).save_model(str(folder / "model.cbm"))
    return str(folder / "model.cbm")


TABULAR = (
    Brought("sklearn-strings", _skops(string_pipeline)),
    Brought("random-forest", _skops(_random_forest)),
    Brought("hist-gradient-boosting", _skops(_hist_gradient_boosting)),
    Brought("xgboost-scaled", _skops(scaled_xgboost)),
    Brought("xgboost", _xgboost),
    Brought("lightgbm", _lightgbm),
    Brought("catboost", _catboost),
)

# --- Keras ------------------------------------------------------------------------------------------------------------


def _keras(build: Callable[[Any], Any]) -> Callable[[Path, int], str]:
    def make(folder: Path, seed: int) -> str:
        os.environ["KERAS_BACKEND"] = "torch"
        import keras

        folder.mkdir(parents=True, exist_ok=True)
        keras.utils.set_random_seed(seed)
        build(keras).save(folder / "model.keras")
        return str(folder / "model.keras")

    return make


def keras_cnn(keras: Any) -> Any:
    """Pictures, their scaling within the model, convolutions with batch normalisation."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((16, 16, 3), name="image"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(5, activation="softmax", name="scores"),
        ]
    )


def keras_two_inputs(keras: Any) -> Any:
    """A transformer layer over tokens of any length beside numbers; inputs and outputs by name."""
    layers = keras.layers
    tokens, numbers = keras.Input((None,), dtype="int32", name="tokens"), keras.Input((3,), name="numbers")
    embedded = layers.Embedding(100, 16)(tokens)
    attended = layers.LayerNormalization()(layers.MultiHeadAttention(2, 8)(embedded, embedded) + embedded)
    both = layers.Concatenate()([layers.GlobalAveragePooling1D()(attended), numbers])
    outputs = {"click": layers.Dense(1, activation="sigmoid")(both), "rating": layers.Dense(2)(both)}
    return keras.Model({"tokens": tokens, "numbers": numbers}, outputs)


KERAS = (Brought("keras-cnn", _keras(keras_cnn)), Brought("keras-two-inputs", _keras(keras_two_inputs)))

# --- ONNX from elsewhere ----------------------------------------------------------------------------------------------


def odd_onnx(folder: Path, seed: int) -> str:
    """A file whose tensors and axes are named as other exporters name them."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir(parents=True, exist_ok=True)
    weight = np.random.default_rng(seed).standard_normal((4, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["serving_default/input 1:0", "w/read"], ["dense.1/BiasAdd:0"]),
            helper.make_node("Softmax", ["dense.1/BiasAdd:0"], ["StatefulPartitionedCall:0"], axis=-1),
        ],
        "tf2onnx__42",
        [helper.make_tensor_value_info("serving_default/input 1:0", TensorProto.FLOAT, ["unk__17", 4])],
        [helper.make_tensor_value_info("StatefulPartitionedCall:0", TensorProto.FLOAT, ["unk__18", 3])],
        [numpy_helper.from_array(weight, "w/read")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "frozen graph (1).onnx")
    return str(folder / "frozen graph (1).onnx")


ONNX = (Brought("onnx-odd-names", odd_onnx),)
MODELS = (*HUGGINGFACE, *RECOMMENDERS, *TABULAR, *KERAS, *ONNX)
