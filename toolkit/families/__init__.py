"""What differs between kinds of models, as one value each. Stages get the parts they need passed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.families.family import Family
from toolkit.families.llm import LLM
from toolkit.families.recsys import RECSYS
from toolkit.families.tabular import TABULAR
from toolkit.families.text import TEXT
from toolkit.families.vision import VISION

#: The families that poc.yaml can name. Chosen once, in toolkit.poc, and passed on.
FAMILIES: dict[str, Family] = {family.name: family for family in (VISION, RECSYS, TEXT, TABULAR, LLM)}


def family_of_entry(config: Mapping[str, Any]) -> Family | None:
    """The family that recognises a served entry by its ModelConfig or metadata; None: it is asked with tensors."""
    return next((f for f in FAMILIES.values() if f.asking and f.asking.recognises(config)), None)
