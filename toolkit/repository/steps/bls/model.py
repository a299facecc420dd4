"""Triton python backend: a pipeline of other models as Business Logic Scripting, called by their tensors.

The parameter `ensemble_scheduling` holds the steps as an ensemble's configuration does, as JSON. The requests of a
batch are put together, so that each model is called once for all of them, and models that wait for nothing else are
called side by side. When a call for several requests fails, each is asked again alone: only the bad one gets the error.
Runs inside Triton's stub, so it imports the standard library, numpy and triton_python_backend_utils only.
"""

import asyncio
import json

import numpy as np
import triton_python_backend_utils as pb_utils


class StepFailed(Exception):
    pass


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.steps = json.loads(config["parameters"]["ensemble_scheduling"]["string_value"])["step"]
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [tensor["name"] for tensor in config["output"]]
        self.is_batched = config["max_batch_size"] > 0

    async def execute(self, requests):
        given = [
            {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
            for request in requests
        ]
        groups = {}
        for place, tensors in enumerate(given):
            shapes = tuple(array.shape[1:] for array in tensors.values()) if self.is_batched else place
            groups.setdefault(shapes, []).append(place)
        responses = [None] * len(requests)
        for places in groups.values():
            for place, response in zip(places, await self.respond([given[p] for p in places]), strict=True):
                responses[place] = response
        return responses

    async def respond(self, given):
        """A response for each request; all of them have equal shapes."""
        together = given[0] if len(given) == 1 else {n: np.concatenate([g[n] for g in given]) for n in self.inputs}
        try:
            made = await self.run(together)
        except StepFailed as err:
            if len(given) > 1:
                return [response for alone in given for response in await self.respond([alone])]
            return [pb_utils.InferenceResponse(error=pb_utils.TritonError(str(err), pb_utils.TritonError.INVALID_ARG))]
        if len(given) == 1:
            return [self.response([made[name] for name in self.outputs])]
        ends = np.cumsum([len(tensors[self.inputs[0]]) for tensors in given])[:-1]
        parts = [np.split(made[name], ends) for name in self.outputs]
        return [self.response(arrays) for arrays in zip(*parts, strict=True)]

    def response(self, arrays):
        tensors = [pb_utils.Tensor(name, array) for name, array in zip(self.outputs, arrays, strict=True)]
        return pb_utils.InferenceResponse(tensors)

    async def run(self, tensors):
        """The tensors by name with those that the steps make, each step called when its inputs are there."""
        waiting = self.steps
        while waiting:
            ready = [step for step in waiting if all(name in tensors for name in step["input_map"].values())]
            waiting = [step for step in waiting if step not in ready]
            if not ready:
                raise StepFailed(f"{waiting[0]['model_name']} waits for tensors that no step makes")
            requests = [self.request(step, tensors) for step in ready]
            # A lone call is cheaper without an event loop's detour.
            answers = [requests[0].exec()] if len(requests) == 1 else await self.side_by_side(requests)
            for step, answer in zip(ready, answers, strict=True):
                tensors = tensors | self.made(step, answer)
        return tensors

    async def side_by_side(self, requests):
        return await asyncio.gather(*(request.async_exec() for request in requests))

    def request(self, step, tensors):
        return pb_utils.InferenceRequest(
            model_name=step["model_name"],
            requested_output_names=list(step["output_map"]),
            inputs=[pb_utils.Tensor(own, tensors[name]) for own, name in step["input_map"].items()],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU),
        )

    def made(self, step, answer):
        if answer.has_error():
            raise StepFailed(f"{step['model_name']}: {answer.error().message()}")
        return {
            name: pb_utils.get_output_tensor_by_name(answer, own).as_numpy() for own, name in step["output_map"].items()
        }
