"""The 1 797 handwritten digits that scikit-learn ships (8 x 8 pixels, 0 to 16), split once, stratified, by seed.

Source: UCI "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998), test part.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HELD_OUT = 540  # 30 %, never seen in training


def splits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images, held-out images ([n, 1, 8, 8] float32 in 0..1), training labels, held-out labels."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    parts = train_test_split(images, digits.target, test_size=HELD_OUT, stratify=digits.target, random_state=0)
    return tuple(parts)
