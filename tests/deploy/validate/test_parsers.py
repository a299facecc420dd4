"""Each kind of file is judged by its parser; nothing that looks like a credential passes."""

from __future__ import annotations

from itertools import starmap

import pytest

from toolkit.deploy.metrics import METRICS
from toolkit.deploy.validate.parsers import parse_all

BASE = "ARG I=nvcr.io/nvidia/tritonserver:26.09-py3\n"


def failures(path: str, text: str) -> dict[str, str]:
    return {f.tool: f.reason for f in parse_all({path: text}, METRICS) if f.outcome == "failed"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("compose/.env", "# a comment\n\nCOMPOSE_FILE=a.yaml:b.yaml\nEMPTY=\n"),
        ("triton/Dockerfile", BASE + "FROM ${I}\nRUN a && \\\n    b\nUSER 1000:1000\n"),
        (
            "triton/Dockerfile",
            "FROM a@sha256:" + "0" * 64 + " AS b\nFROM b\nRUN <<END\nnot an instruction\nEND\nUSER x\n",
        ),
        ("terraform/aws/main.tf", 'resource "a" "b" {\n  c = "$${d}"\n}\n'),
        ("smoke/smoke.py", "print(1)\n"),
        ("bundle.lock.json", '{"a": {"b": 1}, "c": {"b": 2}}'),
        ("model_repository/m/config.pbtxt", 'name: "m"'),
        ("README.md", "https://host:8000/path?x=a@b and user@host"),
    ],
)
def test_sound_files_pass(path: str, text: str) -> None:
    assert failures(path, text) == {}


@pytest.mark.parametrize(
    ("path", "text", "tool", "reason"),
    [
        ("compose/.env", "A=1\nA=2\n", ".env", "sets A again"),
        ("compose/.env", "A='1'\n", ".env", "without quotes"),
        ("compose/.env", "A b=1\n", ".env", "not NAME=value"),
        ("triton/Dockerfile", "FROM a:latest\nUSER 1\n", "Dockerfile", "no tag or digest"),
        ("triton/Dockerfile", "ARG I\nFROM $I\nUSER 1\n", "Dockerfile", "no tag or digest"),
        ("triton/Dockerfile", BASE + "FROM ${I}\n", "Dockerfile", "runs as root"),
        ("triton/Dockerfile", BASE + "FROM ${I}\nUSER 1\nUSER root\n", "Dockerfile", "runs as root"),
        ("triton/Dockerfile", BASE + "FROM ${I}\nADD https://x /\nUSER 1\n", "Dockerfile", "network"),
        ("triton/Dockerfile", BASE + "FORM ${I}\nUSER 1\n", "Dockerfile", "'FORM'"),
        ("triton/Dockerfile", "USER 1\n", "Dockerfile", "no FROM"),
        ("terraform/aws/main.tf", 'resource "a" {', "HCL", "Unexpected"),
        ("smoke/smoke.py", "print(", "Python", "never closed"),
        ("bundle.lock.json", '{"a": 1, "a": 2}', "JSON", "stands twice"),
        ("a.yaml", "a: 1\na: 1\n", "YAML", "stands twice"),
        ("model_repository/m/config.pbtxt", "nme: 1", "ModelConfig protobuf", "nme"),
    ],
)
def test_a_broken_file_is_named_with_its_reason(path: str, text: str, tool: str, reason: str) -> None:
    assert reason in failures(path, text)[tool]


#: Made up, and put together here so that no scanner takes this file for a leak.
CREDENTIALS = {
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "AWS access key": "AKIA" + "ABCDEFGHIJKLMNOP",
    "GitHub token": "ghp_" + "a1" * 18,
    "Hugging Face token": "hf_" + "a1" * 17,
    "NVIDIA API key": "nvapi-" + "a1" * 25,
    "JSON web token": "eyJ" + "a1" * 8 + ".eyJ" + "b2" * 8 + ".c",
    "password in an address": "postgres://" + "user:word@host",
}


@pytest.mark.parametrize(("kind", "text"), CREDENTIALS.items(), ids=list(CREDENTIALS))
def test_what_looks_like_a_credential_is_found_and_not_repeated(kind: str, text: str) -> None:
    reason = failures("compose/.env", f"# first\nTOKEN={text}\n")["no secret"]
    assert f"line 2 holds what looks like a {kind}" in reason
    assert text not in reason


def test_the_contents_of_models_are_the_customers_own() -> None:
    assert list(starmap(failures, [("model_repository/m/1/model.py", "x = 1")])) == [{}]
