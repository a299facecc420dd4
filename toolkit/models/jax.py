"""Load a customer's JAX model. Runs their code, so only the export worker calls this, in JAX's environment.

In: a Source of a `.py` file whose function returns what computes: a function of arrays (a jitted one, a Flax NNX or
Equinox module), or a pair of a function and the parameters that are its first argument (Flax Linen: `model.apply,
variables`). Out: a FunctionModel, or ModelRefused with the line at fault.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toolkit.errors import ExportFailed, ModelRefused
from toolkit.models.code import accepting, customer_code, imported, named_function
from toolkit.models.function import Answers, Array, FunctionModel, Probe
from toolkit.models.source import Source

IN_FLOAT64 = "the same model in float64"
MOVED = "the same model with each weight moved by up to half a unit of roundoff"


def load_jax(source: Source, *, arguments: Mapping[str, Any] | None = None) -> FunctionModel:
    """Call the factory that `source` names, on the CPU. Raises ModelRefused for what cannot compute."""
    jax.config.update("jax_platforms", "cpu")
    code, given = imported(source.path), arguments or {}
    factory = accepting(named_function(code, source.path, source.entry or ""), given)
    with customer_code(source.path, f"{source.entry}()", ModelRefused):
        made = factory()
    function, weights = _function(made, source)
    own = inspect.signature(function).parameters.values()
    shown = list(own)[1:] if isinstance(made, tuple) else list(own)
    by_position = any(p.kind is p.VAR_POSITIONAL for p in shown)
    named = [p for p in shown if p.kind is p.POSITIONAL_OR_KEYWORD]
    call = _Call(made=made, by_position=by_position, output_names=tuple(getattr(code, "OUTPUT_NAMES", ())))
    leaves = [leaf for leaf in jax.tree.leaves(weights) if hasattr(leaf, "dtype")]
    offered = {name: getattr(code, name, None) for name in ("sample_inputs", "held_out")}
    sample, held_out = offered["sample_inputs"], offered["held_out"]
    return FunctionModel(
        original=call,
        answers=call.answers,
        accepted=() if by_position else tuple(p.name for p in named),
        required=() if by_position else tuple(p.name for p in named if p.default is p.empty),
        any_name=by_position,
        parameters=sum(int(leaf.size) for leaf in leaves),
        size_bytes=sum(int(leaf.size) * leaf.dtype.itemsize for leaf in leaves),
        taken=lambda array: np.asarray(jnp.asarray(array)),
        probes=(Probe(text=IN_FLOAT64, answers=call.in_float64), Probe(text=MOVED, answers=call.moved)),
        sample_inputs=accepting(sample, given, positional=2) if callable(sample) else None,
        held_out=accepting(held_out, given) if callable(held_out) else None,
    )


class _Call:
    """What the factory made, called with arrays by name; all its answers are named."""

    def __init__(self, *, made: Any, by_position: bool, output_names: tuple[str, ...]) -> None:
        self.made = made
        self.by_position = by_position
        self.output_names = output_names

    def outputs(self, rows: Mapping[str, Any], made: Any = None) -> dict[str, Any]:
        """Traceable: JAX arrays by output name, of `made` in place of the original where it is given."""
        made = self.made if made is None else made
        function, first = (made[0], (made[1],)) if isinstance(made, tuple) else (made, ())
        answer = function(*first, *rows.values()) if self.by_position else function(*first, **rows)
        return _named(answer, self.output_names)

    def answers(self, rows: Mapping[str, Array], made: Any = None) -> dict[str, Array]:
        found = self.outputs({name: jnp.asarray(array) for name, array in rows.items()}, made)
        return {name: _array(name, value) for name, value in found.items()}

    @contextmanager
    def in_float64(self) -> Iterator[Answers]:
        """Weights and floating-point inputs in float64. Whatever still answers in float32 is refused as a probe."""
        before = jax.config.jax_enable_x64
        jax.config.update("jax_enable_x64", True)
        try:
            made = jax.tree.map(lambda leaf: _cast(leaf, np.float64), self.made)

            def answers(rows: Mapping[str, Array]) -> dict[str, Array]:
                wide = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in rows.items()}
                found = self.answers(wide, made)
                if any(array.dtype == np.float32 for array in found.values()):
                    raise ExportFailed("the model computes in float32 whatever it is given")
                return found

            yield answers
        finally:
            jax.config.update("jax_enable_x64", before)

    @contextmanager
    def moved(self) -> Iterator[Answers]:
        """Every weight with a seeded error of storage, where the factory shows its weights."""
        random = np.random.default_rng(0)
        if not any(_is_float(leaf) for leaf in jax.tree.leaves(self.made)):
            raise ExportFailed("the factory's function hides its weights: return (function, parameters)")
        made = jax.tree.map(lambda leaf: _nudged(leaf, random), self.made)
        yield lambda rows: self.answers(rows, made)


def _function(made: Any, source: Source) -> tuple[Callable[..., Any], Any]:
    """The function to call, and the tree that holds its weights."""
    pair = isinstance(made, tuple) and len(made) == 2
    if pair and callable(made[0]):
        return made[0], made[1]
    if callable(made) and not isinstance(made, tuple):
        return made, made
    raise ModelRefused(
        f"{source.path}: {source.entry}() is a {type(made).__name__}, which does not compute",
        mend="return a function of arrays, or (function, parameters) where the parameters are its first argument",
    )


def _named(answer: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Arrays by name: the keys of a mapping, `output` for one array, `output_N` for several, or OUTPUT_NAMES."""
    if isinstance(answer, Mapping):
        found = {str(name): value for name, value in answer.items()}
    elif isinstance(answer, tuple | list):
        found = {f"output_{index}": value for index, value in enumerate(answer)}
    else:
        found = {"output": answer}
    odd = next((name for name, value in found.items() if not hasattr(value, "dtype")), None)
    if odd is not None:
        raise ExportFailed(f"'{odd}' is a {type(found[odd]).__name__}, not an array", mend="return arrays only")
    if names and len(names) != len(found):
        raise ExportFailed(
            f"OUTPUT_NAMES has {len(names)} names and the model returns {len(found)}: {', '.join(found)}",
            mend="name every output, in order",
        )
    return dict(zip(names or found, found.values(), strict=True))


def _array(name: str, value: Any) -> Array:
    if value.dtype == jnp.bfloat16:
        raise ExportFailed(f"'{name}' is bfloat16, which numpy does not have", mend="return it as float32")
    return np.asarray(value)


def _is_float(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


def _cast(leaf: Any, dtype: Any) -> Any:
    return leaf.astype(dtype) if _is_float(leaf) else leaf


def _nudged(leaf: Any, random: np.random.Generator) -> Any:
    if not _is_float(leaf):
        return leaf
    unit = float(jnp.finfo(leaf.dtype).eps) / 2
    values = np.asarray(leaf, dtype=np.float64)
    return jnp.asarray(values * (1 + unit * random.uniform(-1, 1, values.shape)), dtype=leaf.dtype)
