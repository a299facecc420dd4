"""A tokenizer and a Llama-shaped model of one million parameters, made in seconds and trained for at most two minutes.

Once: the folder is cached by the digest of all that it depends on.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from corpus import END, documents, held_out

VOCABULARY, CONTEXT, SEED = 1024, 1024, 0
WINDOW, BATCH, RATE, WARMUP = 64, 8, 8e-3, 20
SHAPE = {
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
#: What a chat is made into; the tokenizer's folder says it, so that every server of it does the same.
CHAT = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def trained(steps: int, seconds: float) -> Path:
    """The model's folder, from the cache or made now, in `steps` of training or as many as `seconds` hold."""
    place = cache() / f"llm-{digest(steps, seconds)}"
    if not place.exists():
        temporary = place.with_name(f"{place.name}.{os.getpid()}")
        make(temporary, steps, seconds)
        try:
            temporary.rename(place)
        except OSError:  # another process made it meanwhile
            shutil.rmtree(temporary)
    return place


def make(folder: Path, steps: int, seconds: float) -> None:
    """Train a tokenizer and a model, and write both as Hugging Face does."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tokenizer_of(documents())
    end = tokenizer.convert_tokens_to_ids(END)
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end,
        **SHAPE,
    )
    model = LlamaForCausalLM(config)
    fit(model, tokens_of(tokenizer, documents()), steps, seconds)
    loss = evaluate(model, tokens_of(tokenizer, held_out()))
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "training.txt").write_text(f"perplexity of held-out topics: {math.exp(loss):.1f} per token\n")


def tokenizer_of(texts: list[str]) -> Any:
    """A byte-level BPE tokenizer, which has a token for every byte, so that no text is unknown to it."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trainer = ByteLevelBPETokenizer()
    trainer.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=[END], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trainer._tokenizer, eos_token=END, pad_token=END)
    tokenizer.chat_template, tokenizer.model_max_length = CHAT, CONTEXT
    return tokenizer


def tokens_of(tokenizer: Any, texts: list[str]) -> torch.Tensor:
    """All texts one after another, an end between them."""
    ends = tokenizer.convert_tokens_to_ids(END)
    return torch.tensor([token for text in texts for token in (*tokenizer.encode(text, verbose=False), ends)])


def fit(model: Any, tokens: torch.Tensor, steps: int, seconds: float) -> None:
    """AdamW on random windows; the rate falls by a cosine to nothing at the last step, or when the time is over.

    On one thread: for steps this small, threads wait for each other longer than they work.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.05)
    began, generator = time.monotonic(), torch.Generator().manual_seed(SEED)
    model.train()
    for step in range(steps):
        over = max(step / steps, (time.monotonic() - began) / seconds)
        if over >= 1:
            break
        rate = RATE * min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * over))
        for group in optimiser.param_groups:
            group["lr"] = rate
        starts = torch.randint(len(tokens) - WINDOW, (BATCH,), generator=generator)
        windows = torch.stack([tokens[start : start + WINDOW] for start in starts])
        loss = model(input_ids=windows, labels=windows).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    torch.set_num_threads(threads)
    model.eval()


@torch.no_grad()
def evaluate(model: Any, tokens: torch.Tensor) -> float:
    """The mean negative log probability of a token of unseen topics."""
    losses = [float(model(input_ids=window, labels=window).loss) for window in windows_of(tokens)]
    return sum(losses) / len(losses)


def windows_of(tokens: torch.Tensor) -> Iterator[torch.Tensor]:
    """A few batches of neighbouring windows."""
    count = min(len(tokens) // WINDOW, 4 * BATCH)
    yield from tokens[: count * WINDOW].reshape(count, WINDOW).split(BATCH)


def cache() -> Path:
    """Where what was trained is kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poc-toolkit" / "weights"


def digest(*arguments: object) -> str:
    """Digest of the code, of the text, of the arguments and of PyTorch's version."""
    code = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    texts = "".join((*documents(), *held_out())).encode()
    return hashlib.sha256(code + texts + repr((arguments, torch.__version__)).encode()).hexdigest()[:16]
