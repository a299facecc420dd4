"""Vision: images in, classes out. A customer sends image bytes; accuracy is top-1."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolkit.errors import ConfigurationError
from toolkit.export.parity import top1
from toolkit.extras import require
from toolkit.families.family import Family

if TYPE_CHECKING:
    import numpy as np


def png_from_tensor(tensors: np.ndarray[Any, Any], parameters: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """PNG files from which the `image_decode` step with these parameters makes exactly `tensors`.

    tensors: [n, channels, height, width] float. Returns an object array [n, 1] of bytes.
    Raises ConfigurationError when a tensor is not an image under these parameters (a PNG holds 0..255 only).
    """
    import numpy as np

    image = require("PIL.Image")
    scale, mean, std = (_number(parameters, k, d) for k, d in (("scale", 255.0), ("mean", 0.0), ("std", 1.0)))
    exact = (tensors.astype(np.float64) * std + mean) * scale
    pixels = np.rint(exact)
    if np.abs(exact - pixels).max() > 0.01 or pixels.min() < 0 or pixels.max() > 255:
        raise ConfigurationError(
            "the samples are not images under the step's scale, mean and std: a pixel is not a whole number in 0..255",
            mend="set the parameters of the image_decode step to those of the model's own preprocessing",
        )
    files = np.empty((len(tensors), 1), dtype=object)
    for row, picture in enumerate(pixels.astype(np.uint8)):
        buffer = io.BytesIO()
        image.fromarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)).save(buffer, format="PNG")
        files[row, 0] = buffer.getvalue()
    return files


def _number(parameters: Mapping[str, Any], key: str, default: float) -> Any:
    """A parameter as a float, or as a [channels, 1, 1] array where it is a list by channel ("0.5,0.5,0.5")."""
    import numpy as np

    values = [float(v) for v in str(parameters.get(key, default)).split(",")]
    return values[0] if len(values) == 1 else np.array(values)[:, None, None]


VISION = Family(
    name="vision",
    inference="image",
    task=top1,
    encoders={"image_decode": png_from_tensor},
    slo="p95=50ms",
    max_batch_size=8,
)
