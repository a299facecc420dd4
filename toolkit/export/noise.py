"""The tolerance of a comparison, from the reference's own rounding noise instead of from a table.

In: a reference and the same outputs computed otherwise (in float64, or with every weight moved by half a unit of
roundoff), one row per sample. Out: a Noise for each output, and the Tolerance that follows from it. Pure.
Rounding errors grow with the depth and the conditioning of a model, so the model is asked how large they are: two
correct runtimes differ from each other about as much as either differs from exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.export.difference import Tolerance
from toolkit.tensor import dtype_from_numpy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

#: A correct runtime was never farther from the reference than 2.3 times the noise (five architectures, batch 1 to 16);
#: the rest is for other processors, whose kernels sum in another order.
MARGIN = 16.0
#: Where the probe finds less than this, in units of roundoff of the output's scale, the probe was lucky.
LEAST_ROUNDOFFS = 4.0
#: Elements below this share of the output's scale are judged by the absolute noise, those above by the relative.
SMALL = 0.1
#: By dtype: noise beyond this share of an output's scale is no rounding, and no tolerance is wider.
MOST = {"FP16": 0.1, "FP32": 0.01, "FP64": 0.01}
#: By KServe v2 dtype. FP64 is not its roundoff (1.1e-16): runtimes approximate exp, erf and tanh to about 1e-10.
UNIT_ROUNDOFF = {"FP16": 2.0**-11, "FP32": 2.0**-24, "FP64": 1e-10}


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How far one output of the reference is from itself when it is computed otherwise; `probe` says how.

    `scale` is its largest finite magnitude. `relative` is the largest relative difference of the elements above a
    tenth of it, `absolute` the largest difference of those below. Both are at least a few roundoffs of its dtype.
    """

    output: str
    dtype: str
    probe: str
    scale: float
    absolute: float
    relative: float

    @property
    def is_rounding(self) -> bool:
        """Whether the differences are small enough to come from rounding."""
        most = MOST[self.dtype]
        return self.relative <= most and self.absolute <= most * self.scale


def noise_between(output: str, reference: Array, otherwise: Array, *, probe: str) -> Noise:
    """The noise of one output; elements that are not finite in both count for nothing. Shapes must be equal."""
    import numpy as np

    dtype = dtype_from_numpy(reference.dtype).name
    finite = np.isfinite(reference) & np.isfinite(otherwise)
    wanted, got = reference[finite].astype(np.float64), otherwise[finite].astype(np.float64)
    size, difference = np.abs(wanted), np.abs(got - wanted)
    scale = float(size.max(initial=0.0))
    is_large = size >= max(SMALL * scale, np.finfo(np.float64).tiny)
    least = LEAST_ROUNDOFFS * UNIT_ROUNDOFF[dtype]
    return Noise(
        output=output,
        dtype=dtype,
        probe=probe,
        scale=scale,
        absolute=max(float(difference[~is_large].max(initial=0.0)), SMALL * least * scale),
        relative=max(float((difference[is_large] / size[is_large]).max(initial=0.0)), least),
    )


def noises_between(reference: Mapping[str, Array], otherwise: Mapping[str, Array], *, probe: str) -> tuple[Noise, ...]:
    """The noise of every floating-point output of `reference`."""
    return tuple(
        noise_between(name, array, otherwise[name], probe=probe)
        for name, array in reference.items()
        if dtype_from_numpy(array.dtype).name in UNIT_ROUNDOFF
    )


def tolerance_from_noise(noise: Noise, *, dtype: str = "") -> Tolerance:
    """MARGIN times the noise, never more than MOST of the output's scale.

    `dtype` is what the answers are computed in where it is coarser than the reference: rounding errors grow with the
    unit of roundoff, so the noise is taken as many times larger.
    """
    coarser = UNIT_ROUNDOFF.get(dtype, 0.0) / UNIT_ROUNDOFF[noise.dtype]
    factor = MARGIN * max(1.0, coarser)
    most = MOST[dtype if coarser > 1 else noise.dtype]
    # An output of zeros alone has no scale; its answers are held to the smallest normal numbers.
    floor = 1e-30
    return Tolerance(
        absolute=max(min(factor * noise.absolute, most * noise.scale), floor),
        relative=min(factor * noise.relative, most),
    )


def basis_text(noises: tuple[Noise, ...]) -> str:
    """Why the tolerances are what they are, in a sentence for the parity report."""
    if not noises:
        return (
            "tolerance by dtype (difference.TOLERANCES): the reference's own rounding noise is not known, as it can"
            " only be computed in one way"
        )
    probes = ", ".join(dict.fromkeys(noise.probe for noise in noises))
    wide = [noise.output for noise in noises if not noise.is_rounding]
    text = f"tolerance: {MARGIN:g} times the reference's own rounding noise ({probes}), output by output"
    return text + (f"; more than rounding in {', '.join(wide)}, held to a share of the scale" if wide else "")
