"""Triton python backend: RECORD [n, 1], a JSON object a row, to FEATURES [n, numbers] and CODES [n, codes].

features.json lists the columns in the order of the tensors. A number becomes (value - mean) / scale, `fill` where it is
missing or null. A category becomes one value for each of its `categories` in FEATURES (`"as": "one_hot"`), or its place
among them in CODES (`"as": "code"`, `unknown` for any other):

    {"columns": [
      {"name": "age", "as": "number", "fill": 38.5, "mean": 38.5, "scale": 13.6},
      {"name": "city", "as": "one_hot", "categories": ["Bern", "Oslo"]},
      {"name": "item", "as": "code", "categories": ["a", "b"], "unknown": 2}]}

A record that is not JSON, lacks a column without a fill, or holds an unknown category fails its own request, by row and
column. Runs inside Triton's stub, so it imports the standard library, numpy and triton_python_backend_utils only.
"""

import json
import math
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        parameters = {k: v["string_value"] for k, v in json.loads(args["model_config"])["parameters"].items()}
        path = Path(args["model_repository"]) / args["model_version"] / "features.json"
        self.columns = json.loads(path.read_text(encoding="utf-8"))["columns"]
        self.zero_unknown = parameters["on_unknown"] == "zero"
        for column in self.columns:
            if column["as"] not in ("number", "one_hot", "code"):
                raise pb_utils.TritonModelException(f"features.json: {column['name']} is '{column['as']}'")
            column["places"] = {value: place for place, value in enumerate(column.get("categories", ()))}
        numbers = sum({"number": 1, "one_hot": len(c["places"]), "code": 0}[c["as"]] for c in self.columns)
        if numbers != int(parameters["numbers"]):
            raise pb_utils.TritonModelException(
                f"features.json makes {numbers} numbers, the configuration says {parameters['numbers']}"
            )

    def execute(self, requests):
        records = [pb_utils.get_input_tensor_by_name(request, "RECORD").as_numpy().ravel() for request in requests]
        return [self.respond(rows) for rows in records]

    def respond(self, rows):
        features, codes = [], []
        for number, row in enumerate(rows):
            try:
                values, places = self.converted(json.loads(row))
            except ValueError as err:
                text = f"RECORD row {number}: {err}"
                return pb_utils.InferenceResponse(error=pb_utils.TritonError(text, pb_utils.TritonError.INVALID_ARG))
            features.append(values)
            codes.append(places)
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("FEATURES", np.array(features, dtype=np.float32).reshape(len(rows), -1)),
                pb_utils.Tensor("CODES", np.array(codes, dtype=np.int64).reshape(len(rows), -1)),
            ]
        )

    def converted(self, record):
        """One record's numbers and codes. Raises ValueError that names the column."""
        if not isinstance(record, dict):
            raise ValueError(f"expected a JSON object, found {type(record).__name__}")
        numbers, codes = [], []
        for column in self.columns:
            value = record.get(column["name"])
            if column["as"] == "number":
                numbers.append(scaled(column, value))
                continue
            # A list or an object is no category, and no key of a dict.
            known = column["places"].get(value) if isinstance(value, str | int | float) else None
            place = column.get("unknown") if known is None else known
            if place is None and not self.zero_unknown:
                raise ValueError(f"{column['name']} is {value!r}, which is none of its categories")
            if column["as"] == "code":
                codes.append(place or 0)
            else:
                numbers.extend(float(place == other) for other in range(len(column["places"])))
        return numbers, codes


def scaled(column, value):
    """The number of a column, filled where there is none."""
    value = column.get("fill") if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{column['name']} is {value!r}, which is no number")
    return (value - column.get("mean", 0.0)) / column.get("scale", 1.0)
