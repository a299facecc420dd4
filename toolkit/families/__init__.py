"""What differs between kinds of models, as one value each. Stages get the parts they need passed in."""

from __future__ import annotations

from toolkit.families.family import Family
from toolkit.families.recsys import RECSYS
from toolkit.families.vision import VISION

#: The families that poc.yaml can name. Chosen once, in toolkit.poc, and passed on.
FAMILIES: dict[str, Family] = {family.name: family for family in (VISION, RECSYS)}
