"""Trains the customer's network in seconds, once: weights are cached by the digest of everything they depend on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from data import splits

EPOCHS, BATCH, SEED = 12, 32, 0


def trained(model: torch.nn.Module) -> torch.nn.Module:
    """The model with its trained weights, from the cache or trained now."""
    place = cache() / f"digits-{digest()}.pt"
    if not place.exists():
        train(model)
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_suffix(f".{os.getpid()}")
        torch.save(model.state_dict(), temporary)
        temporary.replace(place)
    model.load_state_dict(torch.load(place, weights_only=True))
    return model.eval()


def train(model: torch.nn.Module) -> None:
    """A few epochs of Adam with one-pixel shifts, on one thread so that the result is the same everywhere."""
    torch.manual_seed(SEED)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    images, _, labels, _ = (torch.from_numpy(a) for a in splits())
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            down, right = torch.randint(-1, 2, (2,)).tolist()
            batch = torch.roll(images[rows], (down, right), dims=(2, 3))
            loss = torch.nn.functional.nll_loss(model(batch).clamp_min(1e-9).log(), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    torch.set_num_threads(threads)


def cache() -> Path:
    """Where trained weights are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poc-toolkit" / "weights"


def digest() -> str:
    """Digest of the code, the data code and the PyTorch version."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(p.read_bytes() for p in sources) + torch.__version__.encode()).hexdigest()[:16]
