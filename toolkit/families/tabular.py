"""Tables: one row of columns in, a label or a number out; accuracy is top-1 where there are labels."""

from __future__ import annotations

from toolkit.export.parity import top1
from toolkit.families.family import Family

TABULAR = Family(
    name="tabular",
    inference="row",
    task=top1,
    encoders={},
    slo="p95=20ms",
    max_batch_size=64,
)
