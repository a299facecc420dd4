"""Whether Triton may batch a model, decided by the names of its axes; pure.

In: a Signature, and the inputs that Triton joins otherwise (ragged ones). Out: the batch axis with the reason, or the
reason why there is none. That the named axis really is a batch, parity shows at several batch sizes.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from toolkit.tensor import BATCH, Signature

#: Names that other exporters give to an axis along which a model does compute.
_LENGTH = re.compile(r"seq|len|time|step|token|frame|node|edge|height|width", re.IGNORECASE)
_UNNAMED = re.compile(r"dim_\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """`axis` is the name of the batch axis, None where requests cannot be joined; `reason` is a sentence."""

    axis: str | None
    reason: str


def batching_of(signature: Signature, *, apart: Collection[str] = ()) -> Batching:
    """Decide by the first axes of all inputs and outputs but those named in `apart`.

    They must have one and the same name: a first axis that merely varies (the output of `y[mask]`) is not the batch,
    and neither is one that is named as a length.
    """
    tensors = [t for t in (*signature.inputs, *signature.outputs) if t.name not in apart]
    for tensor in tensors:
        if not tensor.shape:
            return Batching(axis=None, reason=f"'{tensor.name}' is a scalar")
        if isinstance(tensor.shape[0], int):
            return Batching(axis=None, reason=f"the first axis of '{tensor.name}' is fixed at {tensor.shape[0]}")
    firsts = {str(t.shape[0]): t.name for t in tensors}
    if len(firsts) > 1:
        listed = ", ".join(f"'{axis}' of '{name}'" for axis, name in firsts.items())
        return Batching(axis=None, reason=f"the first axes differ: {listed}")
    (axis,) = firsts or {"": ""}
    if not axis or _UNNAMED.fullmatch(axis):
        return Batching(axis=None, reason="the first axes have no name, so it is not known that they are one")
    if _LENGTH.search(axis) and BATCH not in axis.lower():
        return Batching(axis=None, reason=f"the first axis is named '{axis}', which is a length and not a batch")
    return Batching(axis=axis, reason=f"every input and output has the first axis '{axis}'")
