"""Triton python backend: QUERY [n, dimension] to IDS and SCORES [n, k], the k nearest neighbours in a FAISS index.

EXCLUDE [n, m], which may be left out, names ids that must not be answered (seen already, out of stock); -1 fills a row
up. Where fewer than k are found, the rest of IDS is -1 and of SCORES infinitely bad. SCORES are FAISS's: squared
distances, or products where the index was built for them.
All rows of a batch are searched at once. A query that is not finite fails its own request and no other.
Runs inside Triton's stub, so it imports the standard library, numpy, triton_python_backend_utils and FAISS only.
"""

import json
from pathlib import Path

import faiss
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        parameters = {k: v["string_value"] for k, v in json.loads(args["model_config"])["parameters"].items()}
        folder = Path(args["model_repository"]) / args["model_version"]
        faiss.omp_set_num_threads(int(parameters["threads"]))
        try:
            self.index = faiss.read_index(str(folder / "index.faiss"))
        except RuntimeError as err:
            text = f"index.faiss cannot be read by FAISS {faiss.__version__}; build it again: {err}"
            raise pb_utils.TritonModelException(text) from err
        self.ids = np.load(folder / "ids.npy")
        if self.index.d != int(parameters["dimension"]) or self.index.ntotal != len(self.ids):
            raise pb_utils.TritonModelException(
                f"index.faiss holds {self.index.ntotal} vectors of {self.index.d} dimensions, "
                f"ids.npy {len(self.ids)} ids, the configuration says dimension {parameters['dimension']}"
            )
        self.k = int(parameters["k"])
        self.parameters = search_parameters(self.index, int(parameters["nprobe"]), int(parameters["ef_search"]))
        self.worst = np.float32("inf" if self.index.metric_type == faiss.METRIC_L2 else "-inf")

    def execute(self, requests):
        queries = [pb_utils.get_input_tensor_by_name(request, "QUERY").as_numpy() for request in requests]
        excluded = [pb_utils.get_input_tensor_by_name(request, "EXCLUDE") for request in requests]
        excluded = [None if tensor is None else tensor.as_numpy() for tensor in excluded]
        # Searching for as many more as are excluded, and dropping these, is exact: no filter inside the index is.
        spare = max((tensor.shape[1] for tensor in excluded if tensor is not None), default=0)
        rows = queries[0] if len(queries) == 1 else np.concatenate(queries)
        ids, scores = self.search(rows, self.k + spare)
        responses, row = [], 0
        for query, unwanted in zip(queries, excluded, strict=True):
            span = slice(row, row + len(query))
            row += len(query)
            responses.append(self.respond(query, ids[span], scores[span], unwanted))
        return responses

    def search(self, rows, k):
        """Ids and scores [rows, k], padded with -1 and the worst score."""
        scores, places = self.index.search(np.ascontiguousarray(rows), min(k, len(self.ids)), params=self.parameters)
        ids = np.where(places >= 0, self.ids[places], -1)
        scores = np.where(places >= 0, scores, self.worst)
        missing = ((0, 0), (0, k - ids.shape[1]))
        return np.pad(ids, missing, constant_values=-1), np.pad(scores, missing, constant_values=self.worst)

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


def search_parameters(index, nprobe, ef_search):
    """How hard a search tries, for the kinds of index that can be asked; None for any other."""
    kind = faiss.downcast_index(index)
    if isinstance(kind, faiss.IndexIVF):
        return faiss.SearchParametersIVF(nprobe=nprobe)
    if isinstance(kind, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=ef_search)
    return None
