"""Triton python backend: IDS and SCORES [n, count] to the `best` highest scores with their ids, the highest first.

Equal scores keep their order. A candidate with the id -1 is none: where there are too few, the rest of BEST_IDS is -1
and of BEST_SCORES minus infinity.
Runs inside Triton's stub, so it imports the standard library, numpy and triton_python_backend_utils only.
"""

import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        parameters = {k: v["string_value"] for k, v in json.loads(args["model_config"])["parameters"].items()}
        self.best = int(parameters["best"])

    def execute(self, requests):
        return [self.respond(request) for request in requests]

    def respond(self, request):
        ids = pb_utils.get_input_tensor_by_name(request, "IDS").as_numpy()
        scores = pb_utils.get_input_tensor_by_name(request, "SCORES").as_numpy()
        scores = np.where(ids < 0, np.float32("-inf"), scores)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : self.best]
        missing = ((0, 0), (0, self.best - order.shape[1]))
        best_ids = np.pad(np.take_along_axis(ids, order, 1), missing, constant_values=-1)
        best_scores = np.pad(np.take_along_axis(scores, order, 1), missing, constant_values=-np.inf)
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("BEST_IDS", np.ascontiguousarray(best_ids, dtype=np.int64)),
                pb_utils.Tensor("BEST_SCORES", np.ascontiguousarray(best_scores, dtype=np.float32)),
            ]
        )
