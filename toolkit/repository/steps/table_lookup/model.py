"""Triton python backend: IDS [n, count] to ROWS [n, count, width] of a table and KNOWN [n, count], 1 or 0.

An id that the table does not hold, such as the -1 of a search that found too little, has a row of zeros and KNOWN 0.
Runs inside Triton's stub, so it imports the standard library, numpy and triton_python_backend_utils only.
"""

import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        parameters = {k: v["string_value"] for k, v in json.loads(args["model_config"])["parameters"].items()}
        path = Path(args["model_repository"]) / args["model_version"] / "arrays.npz"
        with np.load(path, allow_pickle=False) as arrays:
            ids, table = arrays[parameters["ids"]], arrays[parameters["table"]]
        if table.ndim != 2 or len(ids) != len(table) or table.shape[1] != int(parameters["width"]):
            raise pb_utils.TritonModelException(
                f"arrays.npz holds {len(ids)} ids and a table of shape {list(table.shape)}, "
                f"the configuration says width {parameters['width']}"
            )
        order = np.argsort(ids)
        self.ids = ids[order]
        if (self.ids[1:] == self.ids[:-1]).any():
            raise pb_utils.TritonModelException(f"arrays.npz: an id comes twice among its {len(ids)} ids")
        bad = ids[~np.isfinite(table).all(axis=1)]
        if len(bad):
            raise pb_utils.TritonModelException(f"arrays.npz: the row of id {bad[0]} holds a NaN or an infinity")
        # The last row, of zeros, is that of unknown ids.
        self.table = np.vstack((table[order], np.zeros((1, table.shape[1])))).astype(np.float32)

    def execute(self, requests):
        return [self.respond(pb_utils.get_input_tensor_by_name(request, "IDS").as_numpy()) for request in requests]

    def respond(self, ids):
        places = np.searchsorted(self.ids, ids).clip(max=len(self.ids) - 1)
        known = self.ids[places] == ids
        rows = self.table[np.where(known, places, len(self.ids))]
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("ROWS", rows), pb_utils.Tensor("KNOWN", known.astype(np.float32))]
        )
