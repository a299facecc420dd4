"""A Triton python-based backend that serves causal language models with continuous batching over ONNX Runtime.

`backend: "onnxruntime_llm"` entries hold model.onnx with a key/value cache, tokenizer.json and language_model.json.
Decoupled: a response for each token of a stream. Three threads: Triton's, which checks and queues requests; one that
iterates over the model; one that answers, which also asks whether a client is still there. Self-contained with its
siblings llm_*.py: standard library, numpy, onnxruntime, tokenizers, Triton's module.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from dataclasses import dataclass
from pathlib import Path

import triton_python_backend_utils as pb_utils
from llm_answers import ask, deliver, send_error
from llm_engine import DESCRIPTION, load_engine
from llm_metrics import Metrics
from llm_request import Refused, generation_request
from llm_scheduler import CANCELLED, Scheduler, Step
from tokenizers import Tokenizer

#: Set by whoever launches the server, as for the onnxruntime backend.
SPINNING = "TOOLKIT_ORT_ALLOW_SPINNING"
#: Each parameter's default and its lowest value. max_length 0 is the model's own context.
PARAMETERS = {
    "slots": (8, 1),
    "queue_limit": (64, 0),
    "max_length": (0, 0),
    "prefill_chunk": (128, 1),
    "intra_op_thread_count": (0, 0),
}
#: Iterations whose answers may wait to be sent; then the model waits, and the client sees even gaps.
BACKLOG = 2
IDLE_S = 0.5


class TritonPythonModel:
    """One instance: one engine with its slots."""

    def initialize(self, args):
        """Load model and tokenizer. What is refused here, Triton tells the user."""
        config = json.loads(args["model_config"])
        check(config)
        values = parameters(config)
        folder = Path(args["model_repository"], args["model_version"])
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        context = described["context_length"]
        if values["max_length"] > context:
            refuse(f"parameter 'max_length' is {values['max_length']}, and the model's context is {context}")
        engine = load_engine(
            folder,
            slots=values["slots"],
            max_length=values["max_length"] or context,
            threads=values["intra_op_thread_count"],
            allow_spinning=os.environ.get(SPINNING) == "1",
        )
        engine.warm()
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.scheduler = Scheduler(
            engine,
            tokenizer,
            described["end_token_ids"],
            queue_limit=values["queue_limit"],
            prefill_chunk=values["prefill_chunk"],
        )
        self.metrics = Metrics({"model": args["model_name"], "version": args["model_version"]})
        self.answers = queue.Queue(maxsize=BACKLOG)
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.iterate, self.answer)]
        for thread in self.threads:
            thread.start()

    def execute(self, requests):
        """Check and queue requests; the answers come from another thread."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                tensors = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
                self.scheduler.admit(generation_request(tensors, request.parameters()), sender)
            except Refused as err:
                if err.code == "UNAVAILABLE":
                    self.metrics.add("requests_refused")
                send_error(sender, str(err), err.code)
            except Exception as err:  # noqa: BLE001 - a request of any kind must have an answer, and the others theirs
                send_error(sender, f"the request cannot be read: {err}", "INTERNAL")

    def finalize(self):
        """End the threads; what still runs is answered with an error."""
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def iterate(self):
        """The model's thread: iterations for as long as there is something to write."""
        while not self.ending.is_set():
            if not self.scheduler.wait_for_work(IDLE_S):
                continue
            try:
                steps = []
                for step in self.scheduler.iterate():
                    steps.append(step)
                    if step.is_first:  # the first token need not wait for the batch
                        self.hand_over(steps, 0)
                        steps = []
            except Exception as err:  # noqa: BLE001 - whatever it is, clients must hear of it and the rest go on
                pb_utils.Logger.log_error(f"onnxruntime_llm: an iteration failed: {err}")
                steps += self.scheduler.fail_all(f"the model failed: {err}")
            # Who gave no step is asked about too: nobody else would notice that their client has gone.
            self.hand_over([*steps, *self.scheduler.silent(steps)], 1)
        self.hand_over(self.scheduler.fail_all("the model is being unloaded"), 0)
        self.answers.put(None)

    def hand_over(self, items, iterations):
        """Pass steps on to the answering thread; waits when it is behind."""
        waiting, running = len(self.scheduler.waiting), len(self.scheduler.running)
        self.answers.put(Batch(items, iterations, waiting, running))

    def answer(self):
        """The answering thread: send what the iterations gave, ask for cancellations, count."""
        while (batch := self.answers.get()) is not None:
            for item in batch.items:
                try:
                    deliver(item) if isinstance(item, Step) else ask(item)
                except Exception as err:  # noqa: BLE001 - a client that cannot be answered must not end the others
                    pb_utils.Logger.log_error(f"onnxruntime_llm: a response was not sent: {err}")
            self.count(batch)

    def count(self, batch):
        """Tell Prometheus of a batch of steps."""
        tokens = [step for step in batch.items if isinstance(step, Step) and step.token is not None]
        first = [step for step in tokens if step.is_first]
        self.metrics.add("generated_tokens", len(tokens))
        self.metrics.add("prompt_tokens", sum(len(step.sequence.prompt) for step in first))
        self.metrics.add("decoded_rows", len(tokens) - len(first))
        self.metrics.add("iterations", batch.iterations)
        for step in tokens:
            name = "time_to_first_token_seconds" if step.is_first else "inter_token_latency_seconds"
            self.metrics.observe(name, step.gap)
        for step in batch.items:
            if isinstance(step, Step) and step.finish == CANCELLED:
                self.metrics.add("requests_cancelled")
                self.metrics.add("tokens_after_cancellation", step.sequence.wasted)
        self.metrics.show("requests_waiting", batch.waiting)
        self.metrics.show("slots_in_use", batch.running)


@dataclass(frozen=True)
class Batch:
    """What the model's thread hands over: steps, sequences to ask about, and how full the server was after them."""

    items: list
    iterations: int
    waiting: int
    running: int


def refuse(message):
    """Fail the load with a message that Triton passes on."""
    raise pb_utils.TritonModelException(message)


def check(config):
    """Refuse a config that this backend cannot serve."""
    if config["max_batch_size"] != 0:
        refuse(f"max_batch_size is {config['max_batch_size']}; the slots are the batch, so it must be 0")
    if not pb_utils.using_decoupled_model_transaction_policy(config):
        refuse("a stream is several responses: write model_transaction_policy { decoupled: true }")


def parameters(config):
    """The entry's parameters over the defaults. Refuses one that is unknown or no integer."""
    values = {name: default for name, (default, _) in PARAMETERS.items()}
    for name, text in ((name, entry["string_value"]) for name, entry in config.get("parameters", {}).items()):
        if name.startswith("TRITON_"):  # read by Triton itself
            continue
        if name not in PARAMETERS:
            refuse(f"parameter '{name}' is unknown; the onnxruntime_llm backend reads: {', '.join(PARAMETERS)}")
        low = PARAMETERS[name][1]
        if not text.isdigit() or int(text) < low:
            refuse(f"parameter '{name}' is '{text}'; expected an integer from {low}")
        values[name] = int(text)
    return values
