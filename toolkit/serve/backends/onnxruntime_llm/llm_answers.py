"""What clients are sent: a response for each token of a stream, one at the end else, an error where nothing is served.

In: Steps of the scheduler. Out: Triton responses, in the order of the steps; only the answering thread calls this,
but for errors on requests that were never queued.
"""

from __future__ import annotations

import numpy as np
import triton_python_backend_utils as pb_utils
from llm_scheduler import CANCELLED

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


def deliver(step):
    """Answer a step: a response for each token of a stream, one at the end else. A client that has gone gets none."""
    sequence, request = step.sequence, step.sequence.request
    if step.token is None:
        code = "CANCELLED" if step.finish == CANCELLED else "UNAVAILABLE"
        send_error(sequence.sender, f"request {step.finish}" if step.finish == CANCELLED else step.finish, code)
        return
    sequence.texts.append(step.text)
    sequence.unsent += 1
    if request.stream or step.finish:
        response = pb_utils.InferenceResponse(outputs(step))
        sequence.sender.send(response, FINAL if step.finish else 0)
        sequence.texts.clear()
        sequence.unsent = 0
    if not step.finish:
        ask(sequence)


def ask(sequence):
    """Ask Triton whether a sequence's client has gone; the next iteration ends it. From then on tokens are wasted."""
    if sequence.cancelled_at is None and sequence.sender.is_cancelled():
        sequence.cancelled_at = len(sequence.written)


def outputs(step):
    """The tensors of a response. What was not asked for is not sent."""
    sequence, request = step.sequence, step.sequence.request
    text = "".join(sequence.texts)
    if not request.exclude_input_in_output:
        text = request.text + text
    tensors = [text_tensor("text_output", text)]
    if request.return_finish_reason:
        tensors.append(text_tensor("finish_reason", step.finish or "None"))
    if request.return_num_input_tokens:
        tensors.append(pb_utils.Tensor("num_input_tokens", np.array([len(sequence.prompt)], np.uint32)))
    if request.return_num_output_tokens:
        tensors.append(pb_utils.Tensor("num_output_tokens", np.array([sequence.unsent], np.uint32)))
    if request.return_token_ids:
        end = step.position
        ids = sequence.written[end - sequence.unsent : end]
        tensors.append(pb_utils.Tensor("token_ids", np.array(ids, np.int32)))
    return tensors


def text_tensor(name, text):
    """A BYTES tensor of one element."""
    return pb_utils.Tensor(name, np.array([text.encode()], np.object_))


def send_error(sender, message, code):
    """The last response of a request that is not served, or not to its end."""
    error = pb_utils.TritonError(message, getattr(pb_utils.TritonError, code))
    sender.send(pb_utils.InferenceResponse(error=error), FINAL)
