"""Triton python backend: QUERY [n, dimension] to IDS and SCORES [n, k], the k nearest neighbours in a cuVS index.

As `vector_search`, on the GPU: EXCLUDE [n, m], which may be left out, names ids that must not be answered (-1 fills a
row up); where fewer than k are found, the rest of IDS is -1 and of SCORES infinitely bad; SCORES are squared distances,
or products. All rows of a batch are searched at once. A query that is not finite fails its own request and no other.
Runs inside Triton's stub, so it imports the standard library, numpy, triton_python_backend_utils and cuVS only.
"""

import importlib
import json
from pathlib import Path

import cuvs
import numpy as np
import triton_python_backend_utils as pb_utils
from cuvs.common.exceptions import CuvsException

#: CAGRA keeps at most so many candidates with the algorithm that it chooses for small batches.
MAX_ITOPK = 512


class TritonPythonModel:
    def initialize(self, args):
        parameters = {k: v["string_value"] for k, v in json.loads(args["model_config"])["parameters"].items()}
        folder = Path(args["model_repository"]) / args["model_version"]
        self.library = importlib.import_module(f"cuvs.neighbors.{parameters['kind']}")
        self.on_device = importlib.import_module("pylibraft.common").device_ndarray
        try:
            self.index = self.library.load(str(folder / "index.cuvs"))
        except CuvsException as err:
            text = f"index.cuvs cannot be read by cuVS {cuvs.__version__}; build it again: {err}"
            raise pb_utils.TritonModelException(text) from err
        self.ids = np.load(folder / "ids.npy")
        dimension = int(parameters["dimension"])
        if len(self.index) != len(self.ids) or self.index.dim != dimension:
            raise pb_utils.TritonModelException(
                f"index.cuvs holds {len(self.index)} vectors of {self.index.dim} dimensions, "
                f"ids.npy {len(self.ids)} ids, the configuration says dimension {dimension}"
            )
        self.k = int(parameters["k"])
        self.kind = parameters["kind"]
        self.effort = int(parameters["itopk_size" if self.kind == "cagra" else "n_probes"])
        self.worst = np.float32("inf" if parameters["metric"] == "l2" else "-inf")

    def execute(self, requests):
        queries = [pb_utils.get_input_tensor_by_name(request, "QUERY").as_numpy() for request in requests]
        excluded = [pb_utils.get_input_tensor_by_name(request, "EXCLUDE") for request in requests]
        excluded = [None if tensor is None else tensor.as_numpy() for tensor in excluded]
        # Searching for as many more as are excluded, and dropping these, is exact: no filter inside the index is.
        spare = max((tensor.shape[1] for tensor in excluded if tensor is not None), default=0)
        ids, scores = self.search(np.concatenate(queries), self.k + spare)
        responses, row = [], 0
        for query, unwanted in zip(queries, excluded, strict=True):
            span = slice(row, row + len(query))
            row += len(query)
            responses.append(self.respond(query, ids[span], scores[span], unwanted))
        return responses

    def search(self, rows, k):
        """Ids and scores [rows, k], padded with -1 and the worst score."""
        found = min(k, len(self.ids))
        finite = np.where(np.isfinite(rows), rows, np.float32(0))
        scores, places = self.library.search(
            self.parameters(found), self.index, self.on_device(np.ascontiguousarray(finite)), found
        )
        scores, places = scores.copy_to_host(), places.copy_to_host().astype(np.int64)
        is_found = (places >= 0) & (places < len(self.ids))  # CAGRA's places have no sign: none found is a large one
        ids = np.where(is_found, self.ids[np.where(is_found, places, 0)], -1)
        scores = np.where(is_found, scores, self.worst)
        missing = ((0, 0), (0, k - found))
        return np.pad(ids, missing, constant_values=-1), np.pad(scores, missing, constant_values=self.worst)

    def parameters(self, k):
        if self.kind == "cagra":
            return self.library.SearchParams(itopk_size=max(k, min(self.effort, MAX_ITOPK)))
        return self.library.SearchParams(n_probes=self.effort)

    def respond(self, query, ids, scores, unwanted):
        if not np.isfinite(query).all():
            row = int(np.flatnonzero(~np.isfinite(query).all(axis=1))[0])
            error = pb_utils.TritonError(
                f"QUERY row {row} holds a NaN or an infinity", pb_utils.TritonError.INVALID_ARG
            )
            return pb_utils.InferenceResponse(error=error)
        if unwanted is not None:
            ids, scores = self.without(ids, scores, unwanted)
        ids = np.ascontiguousarray(ids[:, : self.k], dtype=np.int64)
        scores = np.ascontiguousarray(scores[:, : self.k], dtype=np.float32)
        return pb_utils.InferenceResponse([pb_utils.Tensor("IDS", ids), pb_utils.Tensor("SCORES", scores)])

    def without(self, ids, scores, unwanted):
        """The same rows with the unwanted ids taken out; what follows moves up."""
        drop = np.stack([np.isin(found, names) for found, names in zip(ids, unwanted, strict=True)])
        ids, scores = np.where(drop, -1, ids), np.where(drop, self.worst, scores)
        order = np.argsort(drop, axis=1, kind="stable")
        return np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
