"""Whether each file of a bundle is what its name claims, judged in this process by the parser that will read it.

In: texts by path. Out: findings. Nothing is started. What several files mean together is not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import PurePosixPath

from toolkit.deploy.validate.dockerfile import check_dockerfile
from toolkit.deploy.validate.documents import YAML_SUFFIXES, yaml_documents
from toolkit.deploy.validate.expressions import check_dashboard, check_rules
from toolkit.deploy.validate.finding import Finding, judged

Check = Callable[[str], object]

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: What a credential looks like, by whose it is. Only forms that nothing else has, so that a finding is worth a look.
#: Sources: docs.github.com/authentication (token formats), docs.aws.amazon.com/IAM (unique identifiers),
#: huggingface.co/docs/hub/security-tokens, docs.nvidia.com/ngc (API keys), RFC 7468, RFC 7519.
_SECRETS = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "AWS access key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})"),
    "Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{30,}"),
    "NVIDIA API key": re.compile(r"\bnvapi-[A-Za-z0-9_-]{40,}"),
    "Google API key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b"),
    "Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "OpenAI key": re.compile(r"\bsk-[A-Za-z0-9_-]{32,}"),
    "JSON web token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\."),
    "password in an address": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"'{}$]+:[^\s/@\"'{}$]+@"),
}


def is_read(path: str) -> bool:
    """Which files are read at all: of the model repository only the configurations, the rest is the customer's."""
    if path.startswith("model_repository/"):
        return path.endswith("/config.pbtxt")
    return not path.endswith(".bin")


def parse_all(texts: Mapping[str, str], documented: frozenset[str]) -> Iterator[Finding]:
    """What each parser says about each file. `documented` are the metrics that there are."""
    for path, text in texts.items():
        for tool, check in _checks(path, documented):
            yield judged(tool, path, partial(check, text))
        if path.endswith((".tf", ".tfvars")) and not _has_hcl():
            absent = "python-hcl2 is not installed: pip install 'poc-toolkit[validate]'"
            yield Finding(tool="HCL", file=path, outcome="skipped", reason=absent)


def _checks(path: str, documented: frozenset[str]) -> Iterator[tuple[str, Check]]:
    name = PurePosixPath(path).name
    if path.startswith("observability/grafana/dashboards/"):
        yield "known metrics", partial(check_dashboard, documented=documented)
    if path == "observability/prometheus/rules.yml":
        yield "known metrics", partial(check_rules, documented=documented)
    yield from ((tool, check) for tool, is_for, check in _PARSERS if is_for(name))
    yield "no secret", _check_no_secret


def _has_hcl() -> bool:
    return find_spec("hcl2") is not None


def _ends_in(*suffixes: str) -> Callable[[str], bool]:
    return lambda name: name.endswith(suffixes)


def _check_model_config(text: str) -> None:
    from toolkit.repository.config import config_from_pbtxt

    config_from_pbtxt(text, "config.pbtxt")


def _check_json(text: str) -> None:
    json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_twice)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_twice(pairs: list[tuple[str, object]]) -> None:
    keys = [key for key, _ in pairs]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise ValueError(f"the key {min(twice)!r} stands twice in one object")


def _check_env(text: str) -> None:
    """Only `NAME=value` in words that need no quotes: compose and a shell read quotes and `$` in different ways."""
    names: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.partition("=")
        if line.startswith("#") or not line.strip():
            continue
        if not equals or not _ENV_NAME.fullmatch(name) or re.search(r"[\s'\"$`\\#]", value):
            raise ValueError(f"line {number} is not NAME=value without quotes: {line!r}")
        if name in names:
            raise ValueError(f"line {number} sets {name} again")
        names.add(name)


def _check_python(text: str) -> None:
    try:
        compile(text, "bundle", "exec", dont_inherit=True)
    except SyntaxError as err:
        raise ValueError(str(err)) from err


def _check_hcl(text: str) -> None:
    import hcl2
    from lark.exceptions import LarkError

    try:
        hcl2.loads(text)
    except LarkError as err:
        raise ValueError(str(err)) from err


def _check_no_secret(text: str) -> None:
    for kind, pattern in _SECRETS.items():
        if found := pattern.search(text):
            # Not the thing itself: a report of findings is passed around more freely than a bundle.
            line = text.count("\n", 0, found.start()) + 1
            raise ValueError(f"line {line} holds what looks like a {kind}; refer to a secret instead")


_PARSERS: tuple[tuple[str, Callable[[str], bool], Check], ...] = (
    ("ModelConfig protobuf", _ends_in(".pbtxt"), _check_model_config),
    ("YAML", _ends_in(*YAML_SUFFIXES), yaml_documents),
    ("JSON", _ends_in(".json"), _check_json),
    (".env", _ends_in(".env"), _check_env),
    ("Dockerfile", lambda name: name.startswith("Dockerfile"), check_dockerfile),
    ("Python", _ends_in(".py"), _check_python),
    ("HCL", lambda name: name.endswith((".tf", ".tfvars")) and _has_hcl(), _check_hcl),
)
