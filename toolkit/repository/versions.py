"""Which versions of an entry a server serves, by its version policy. Pure arithmetic on numbers.

Source: triton-inference-server/core, src/model_repository_manager (VersionsToLoad); without a policy the latest one.
"""

from __future__ import annotations

from collections.abc import Iterable

from toolkit.repository.model_config import ModelConfig, ModelVersionPolicy


def served_versions(config: ModelConfig, there: Iterable[int]) -> tuple[int, ...]:
    """The versions among `there` that the policy of `config` serves, the lowest first."""
    policy, numbers = config.version_policy or ModelVersionPolicy(latest={"num_versions": 1}), sorted(there)
    if policy.all is not None:
        return tuple(numbers)
    if policy.specific is not None:
        wanted = set(policy.specific.get("versions", ()))
        return tuple(n for n in numbers if n in wanted)
    count = (policy.latest or {}).get("num_versions", 0)  # `latest { }` is none at all
    return tuple(numbers[-count:]) if count > 0 else ()
