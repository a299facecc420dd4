"""Triton python backend: IMAGE (PNG or JPEG bytes, one per row) to PIXELS (FP32, channels x height x width).

A pixel becomes (pixel / scale - mean) / std. An image that cannot be decoded fails its own request and no other.
Runs inside Triton's stub, so it imports the standard library, numpy, triton_python_backend_utils and Pillow only.
"""

import io
import json
import warnings

import numpy as np
import triton_python_backend_utils as pb_utils
from PIL import Image, UnidentifiedImageError

RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
#: What Pillow raises for damaged or hostile files; SyntaxError is how its PNG reader says "broken".
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning)


class TritonPythonModel:
    def initialize(self, args):
        parameters = {k: v["string_value"] for k, v in json.loads(args["model_config"])["parameters"].items()}
        self.size = (int(parameters["width"]), int(parameters["height"]))
        self.mode = parameters["mode"]
        self.resample = RESAMPLE[parameters["resample"]]
        self.scale = np.float32(parameters["scale"])
        self.mean = per_channel(parameters["mean"])
        self.std = per_channel(parameters["std"])
        # A picture that unpacks to hundreds of megabytes is an error here, not a warning in a log.
        warnings.simplefilter("error", Image.DecompressionBombWarning)

    def execute(self, requests):
        return [self.respond(request) for request in requests]

    def respond(self, request):
        rows = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy().reshape(-1)
        pictures = []
        for row, content in enumerate(rows):
            try:
                pictures.append(self.picture(content))
            except UNREADABLE as err:
                # Pillow's own text for this one is the address of a buffer.
                reason = "unknown format" if isinstance(err, UnidentifiedImageError) else err
                text = f"IMAGE row {row} ({len(content)} bytes) is not a readable PNG or JPEG: {reason}"
                return pb_utils.InferenceResponse(error=pb_utils.TritonError(text, pb_utils.TritonError.INVALID_ARG))
        return pb_utils.InferenceResponse([pb_utils.Tensor("PIXELS", self.pixels(pictures))])

    def picture(self, content):
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            picture = image.convert(self.mode)
        return picture if picture.size == self.size else picture.resize(self.size, self.resample)

    def pixels(self, pictures):
        width, height = self.size
        rows = np.stack([np.asarray(picture, dtype=np.float32) for picture in pictures])
        channels_first = rows.reshape(len(pictures), height, width, -1).transpose(0, 3, 1, 2)
        return np.ascontiguousarray((channels_first / self.scale - self.mean) / self.std, dtype=np.float32)


def per_channel(text):
    """ "0.5" or "0.485,0.456,0.406" as an array that broadcasts over channels x height x width."""
    return np.array([float(part) for part in text.split(",")], dtype=np.float32).reshape(-1, 1, 1)
