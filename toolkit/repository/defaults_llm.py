"""The configuration of language models' entries: tensors as Triton's vLLM backend names them, for each LLM backend.

In: a LanguageModel. Out: a ModelConfig. Source: triton-inference-server/vllm_backend, src/model.py.
"""

from __future__ import annotations

from toolkit.models.language_model import LanguageModel
from toolkit.repository.defaults import LATEST
from toolkit.repository.model_config import (
    ModelConfig,
    ModelInput,
    ModelInstanceGroup,
    ModelOutput,
    ModelParameter,
    ModelResponseCache,
    ModelTransactionPolicy,
)

#: A context beyond this is asked for: the cache is allocated for all slots at once.
MAX_LENGTH = 2048
#: What the embedded backend reads. `slots` sequences are written together, `queue_limit` more may wait, `max_length` is
#: prompt and answer together, `prefill_chunk` the tokens of prompts that are read in one iteration, so that a long one
#: does not stall the others; zero threads means one for each core.
ONNXRUNTIME_LLM_PARAMETERS = {
    "slots": "8",
    "queue_limit": "64",
    "max_length": str(MAX_LENGTH),
    "prefill_chunk": "128",
    "intra_op_thread_count": "0",
}
#: The files in a version folder that hold the arguments of the GPU servers' engines.
VLLM_FILE = "model.json"
TRTLLM_FILE = "model.yaml"
_FLAGS = (
    "exclude_input_in_output",
    "return_finish_reason",
    "return_num_input_tokens",
    "return_num_output_tokens",
)


def config_from_language_model(name: str, described: LanguageModel) -> ModelConfig:
    """The config of an `onnxruntime_llm` entry, every parameter written out.

    KIND_CPU: the backend runs ONNX Runtime on the CPU. One instance: its slots are the batch.
    """
    parameters = ONNXRUNTIME_LLM_PARAMETERS | {"max_length": str(min(MAX_LENGTH, described.context_length))}
    return ModelConfig(
        name=name,
        backend="onnxruntime_llm",
        max_batch_size=0,
        default_model_filename="model.onnx",
        version_policy=LATEST,
        input=(*text_inputs(), _flag("return_token_ids")),
        output=(*text_outputs(), ModelOutput(name="token_ids", data_type="TYPE_INT32", dims=(-1,))),
        instance_group=(ModelInstanceGroup(count=1, kind="KIND_CPU"),),
        parameters={k: ModelParameter(string_value=v) for k, v in parameters.items()},
        model_transaction_policy=ModelTransactionPolicy(decoupled=True),
        response_cache=ModelResponseCache(enable=False),
    )


def text_inputs() -> tuple[ModelInput, ...]:
    """The inputs that the embedded backend and Triton's vLLM backend share."""
    return (
        ModelInput(name="text_input", data_type="TYPE_STRING", dims=(1,)),
        _flag("stream"),
        ModelInput(name="sampling_parameters", data_type="TYPE_STRING", dims=(1,), optional=True),
        *map(_flag, _FLAGS),
    )


def text_outputs() -> tuple[ModelOutput, ...]:
    """The outputs that both share; the counts are of the tokens of one response."""
    return (
        ModelOutput(name="text_output", data_type="TYPE_STRING", dims=(-1,)),
        ModelOutput(name="finish_reason", data_type="TYPE_STRING", dims=(-1,)),
        ModelOutput(name="num_input_tokens", data_type="TYPE_UINT32", dims=(1,)),
        ModelOutput(name="num_output_tokens", data_type="TYPE_UINT32", dims=(-1,)),
    )


def _flag(name: str) -> ModelInput:
    return ModelInput(name=name, data_type="TYPE_BOOL", dims=(1,), optional=True)
