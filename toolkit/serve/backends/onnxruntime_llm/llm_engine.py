"""A causal language model under ONNX Runtime with a slot of key/value cache for each sequence that is being written.

In: token ids. Out: logits after the last of them. Knows nothing of requests, text or time.
Rows are padded on the right: slot k holds `lengths[k]` tokens from its beginning, and what lies behind is never read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # on by default, and read when it is loaded
import onnxruntime

DESCRIPTION = "language_model.json"
MODEL = "model.onnx"


def load_engine(folder, *, slots, max_length, threads=0, allow_spinning=False):
    """The engine for an entry's version folder: which one, its graph's kind of cache decides."""
    described = json.loads(Path(folder, DESCRIPTION).read_text(encoding="utf-8"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(allow_spinning)))
    session = onnxruntime.InferenceSession(str(Path(folder, MODEL)), options, ["CPUExecutionProvider"])
    kind = {"in_place": InPlaceEngine, "appended": AppendedEngine}[described["cache"]]
    return kind(session, described, slots, max_length)


class Engine:
    """What both kinds share: the slab of every layer, [slots, kv_heads, max_length, head_size], and the lengths."""

    def __init__(self, session, described, slots, max_length):
        self.session, self.slots, self.max_length = session, slots, max_length
        self.dtype = np.dtype(described["cache_dtype"])
        shape = (slots, described["kv_heads"], max_length, described["head_size"])
        names = [f"{layer}.{part}" for layer in range(described["layers"]) for part in ("key", "value")]
        self.past_names = [f"past_key_values.{name}" for name in names]
        self.present_names = [f"present.{name}" for name in names]
        self.slabs = [np.zeros(shape, self.dtype) for _ in names]
        self.lengths = np.zeros(slots, np.int64)
        self.takes_positions = "position_ids" in {value.name for value in session.get_inputs()}

    def prefill(self, slot, tokens):
        """Put tokens behind what the slot holds; the logits after the last, [vocabulary]."""
        held = int(self.lengths[slot])
        logits = self._prefill(slot, np.array([tokens], np.int64), held)
        self.lengths[slot] = held + len(tokens)
        return logits

    def decode(self, tokens):
        """One more token for each slot of `tokens`, by slot; the logits [rows, vocabulary] of all rows up to the last.

        The rows between that are not in `tokens` are computed and dropped: a batch is a piece of the slab.
        """
        rows = max(tokens) + 1
        ids = np.zeros((rows, 1), np.int64)
        for slot, token in tokens.items():
            ids[slot] = token
        logits = self._decode(ids, self.lengths[:rows])
        for slot in tokens:
            self.lengths[slot] += 1
        return logits

    def warm(self):
        """Run every batch size once, so that no request pays for ONNX Runtime's first allocations."""
        for slot in range(self.slots):
            self.prefill(slot, [0])
            self.lengths[:] = 0
            self.decode(dict.fromkeys(range(slot + 1), 0))
            self.lengths[:] = 0

    def free(self, slot):
        """Forget what a slot holds."""
        self.lengths[slot] = 0


class InPlaceEngine(Engine):
    """A graph whose attention writes into the cache that it reads: the slab is bound as past and as present at once.

    The sums of the attention mask's rows say how much of each row counts (GroupQueryAttention's seqlens_k).
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.vocabulary = next(value.shape[-1] for value in self.session.get_outputs() if value.name == "logits")
        self.bindings = {}

    def _prefill(self, slot, ids, held):
        mask = np.ones((1, held + ids.shape[1]), np.int64)
        positions = np.arange(held, held + ids.shape[1])[None]
        return self._run(slice(slot, slot + 1), ids, mask, positions)[0]

    def _decode(self, ids, lengths):
        mask = (np.arange(int(lengths.max()) + 1) <= lengths[:, None]).astype(np.int64)
        return self._run(slice(0, len(ids)), ids, mask, lengths[:, None].copy())

    def _run(self, rows, ids, mask, positions):
        binding, logits = self.bindings.get((rows.start, rows.stop)) or self._bound(rows)
        binding.bind_cpu_input("input_ids", ids)
        binding.bind_cpu_input("attention_mask", mask)
        if self.takes_positions:
            binding.bind_cpu_input("position_ids", positions)
        self.session.run_with_iobinding(binding)
        return logits[:, 0]

    def _bound(self, rows):
        """A binding for these rows of the slab, made once: the memory stays where it is."""
        binding = self.session.io_binding()
        for past, present, slab in zip(self.past_names, self.present_names, self.slabs, strict=True):
            part = slab[rows]
            binding.bind_input(past, "cpu", 0, self.dtype, part.shape, part.ctypes.data)
            binding.bind_output(present, "cpu", 0, self.dtype, part.shape, part.ctypes.data)
        logits = np.empty((rows.stop - rows.start, 1, self.vocabulary), np.float32)
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self.bindings[rows.start, rows.stop] = binding, logits
        return binding, logits


class AppendedEngine(Engine):
    """A graph that gives back its cache with the new tokens behind: they are copied into the slab.

    A batch of rows of several lengths is padded to the longest, the mask has holes, and positions are given.
    """

    def _prefill(self, slot, ids, held):
        new = ids.shape[1]
        past = [slab[slot : slot + 1, :, :held] for slab in self.slabs]
        positions = np.arange(held, held + new)[None]
        logits, presents = self._run(ids, np.ones((1, held + new), np.int64), positions, past)
        for slab, present in zip(self.slabs, presents, strict=True):
            slab[slot, :, held : held + new] = present[0, :, held:]
        return logits[0]

    def _decode(self, ids, lengths):
        rows, longest = len(ids), int(lengths.max())
        mask = np.ones((rows, longest + 1), np.int64)
        mask[:, :longest] = np.arange(longest) < lengths[:, None]
        past = [slab[:rows, :, :longest] for slab in self.slabs]
        logits, presents = self._run(ids, mask, lengths[:, None].copy(), past)
        for slab, present in zip(self.slabs, presents, strict=True):
            slab[np.arange(rows), :, lengths] = present[:, :, longest]
        return logits

    def _run(self, ids, mask, positions, past):
        feed = {"input_ids": ids, "attention_mask": mask}
        if self.takes_positions:
            feed["position_ids"] = positions
        feed |= {name: np.ascontiguousarray(part) for name, part in zip(self.past_names, past, strict=True)}
        logits, *presents = self.session.run(["logits", *self.present_names], feed)
        return logits[:, -1], presents
