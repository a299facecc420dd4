"""Text: one text in, the scores of classes out; accuracy is top-1.

Token ids do not say which text they came from, so a pipeline that begins with text asks what `questions` of poc.yaml
makes: texts, with the answers of an offline pipeline of the customer's own.
"""

from __future__ import annotations

from toolkit.export.parity import top1
from toolkit.families.family import Family

TEXT = Family(
    name="text",
    inference="text",
    task=top1,
    encoders={},
    slo="p95=100ms",
    max_batch_size=16,
)
