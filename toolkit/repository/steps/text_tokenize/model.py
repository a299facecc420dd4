"""Triton python backend: TEXT [n, 1] to INPUT_IDS, ATTENTION_MASK and TOKEN_TYPE_IDS [n, length], by tokenizer.json.

All rows of a request get one length: that of the longest, padded to a multiple of `bucket`, or always max_length.
What is longer than max_length is cut, special tokens kept. Text that is not UTF-8 fails its own request and no other.
Runs inside Triton's stub, so it imports the standard library, numpy, triton_python_backend_utils and tokenizers only.
"""

import json
import os
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer


class TritonPythonModel:
    def initialize(self, args):
        parameters = {k: v["string_value"] for k, v in json.loads(args["model_config"])["parameters"].items()}
        # Instances are Triton's way of using several cores; threads of the tokenizer would compete with them.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        path = Path(args["model_repository"]) / args["model_version"] / "tokenizer.json"
        self.tokenizer = Tokenizer.from_file(str(path))
        self.max_length = int(parameters["max_length"])
        self.pad = self.pad_id(parameters["pad_token"])
        self.bucket = self.max_length if parameters["padding"] == "max" else int(parameters["bucket"])
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.max_length)

    def pad_id(self, token):
        """The id of the padding: the file's own, else that of `token`."""
        own = self.tokenizer.padding
        number = own["pad_id"] if own else self.tokenizer.token_to_id(token)
        if number is None:
            raise pb_utils.TritonModelException(f"tokenizer.json has no token {token}; set the parameter pad_token")
        return number

    def execute(self, requests):
        texts = [pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().ravel() for request in requests]
        return [self.respond(rows) for rows in texts]

    def respond(self, rows):
        try:
            encoded = self.tokenizer.encode_batch([row.decode() for row in rows])
        except UnicodeDecodeError as err:
            text = f"TEXT is not UTF-8: {err}"
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(text, pb_utils.TritonError.INVALID_ARG))
        longest = max((len(one.ids) for one in encoded), default=0)
        length = min(self.max_length, -(-max(longest, 1) // self.bucket) * self.bucket)
        ids = np.full((len(rows), length), self.pad, np.int64)
        mask, types = np.zeros_like(ids), np.zeros_like(ids)
        for row, one in enumerate(encoded):
            ids[row, : len(one.ids)] = one.ids
            mask[row, : len(one.ids)] = one.attention_mask
            types[row, : len(one.ids)] = one.type_ids
        named = {"INPUT_IDS": ids, "ATTENTION_MASK": mask, "TOKEN_TYPE_IDS": types}
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in named.items()])
