"""What the fields of an entry do, one phrase each, for people who read a comparison. Data only.

Source: triton-inference-server/common, model_config.proto; onnxruntime_backend, README.md.
"""

from __future__ import annotations

import re

#: A pattern of a field's path, without its indexes and names in brackets -> what the field does.
_MEANINGS = {
    r"entry": "a model that clients can ask",
    r"backend": "what runs the model",
    r"max_batch_size": "rows that one execution takes at most; 0: dims are whole, nothing is batched",
    r"(input|output)": "a tensor of every request",
    r"(input|output)\.data_type": "the type that clients send or get",
    r"(input|output)\.dims": "the shape that clients send or get, the batch axis left out",
    r"(input|output)\.reshape.*": "the shape that the backend sees instead of dims",
    r"input\.optional": "whether a request may leave it out",
    r"input\.allow_ragged_batch": "whether requests of different lengths are concatenated",
    r"output\.label_filename": "the names of classes in classification answers",
    r"instance_group": "copies of the model",
    r"instance_group\.count": "instances that run at the same time, on a GPU for each",
    r"instance_group\.kind": "where instances run",
    r"instance_group\.gpus": "the GPUs that are used",
    r"instance_group\.profile": "the engine's optimisation profile",
    r"dynamic_batching": "requests are joined into batches",
    r"dynamic_batching\.max_queue_delay_microseconds": "how long a request waits for company",
    r"dynamic_batching\.preferred_batch_size": "sizes at which a batch does not wait for more",
    r"dynamic_batching\.preserve_ordering": "responses in the order of requests",
    r"dynamic_batching\.(priority|default_priority).*": "which requests are served first",
    r"dynamic_batching\..*queue_policy.*": "when a waiting request is dropped",
    r"sequence_batching.*": "requests of a sequence go to the same instance",
    r"ensemble_scheduling.*": "which models an ensemble asks, and how their tensors are wired",
    r"optimization\.graph\.level": "how far ONNX Runtime rewrites the graph; -1 basic, 1 extended, 2 none, else all",
    r"optimization\.execution_accelerators.*": "what accelerates the graph on a GPU or CPU",
    r"optimization.*": "how memory and execution are handled",
    r"parameters\.intra_op_thread_count": "threads of one execution; 0: one for each core",
    r"parameters\.inter_op_thread_count": "threads across parallel branches, in execution_mode 1",
    r"parameters\.execution_mode": "0: one operator after another; 1: branches in parallel",
    r"parameters\.enable_mem_arena": "whether memory is kept between executions",
    r"parameters.*": "a setting of the backend's own",
    r"model_warmup.*": "what is executed before the model is ready",
    r"response_cache.*": "whether equal requests are answered from memory",
    r"model_transaction_policy.*": "whether a request may have any number of responses",
    r"versions\.there": "the versions that lie in the entry",
    r"versions\.served": "the versions that requests reach",
    r"files": "the SHA-256 of a file",
    r"made\.precision": "the numbers that the model computes with",
    r"made\.parity": "whether its answers were found to be the original's",
    r"default_model_filename": "the model's file in every version folder",
    r"metric_tags.*|model_metrics.*": "how the model's metrics are labelled or counted",
}


def meaning_of(field: str) -> str:
    """What a field does; empty for one that needs no explanation or is unknown."""
    plain = re.sub(r"\[[^]]*\]", "", field)
    return next((text for pattern, text in _MEANINGS.items() if re.fullmatch(pattern, plain)), "")
