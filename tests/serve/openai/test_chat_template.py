"""Prompts of messages: by a tokenizer's own template, by the plain one, and templates that refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolkit.errors import ConfigurationError
from toolkit.serve.openai.chat_template import template_in
from toolkit.serve.openai.request import Refusal

MESSAGES = [{"role": "user", "content": "hi"}]
OWN = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{{ '>' if add_generation_prompt }}"
)


def test_the_plain_template_is_the_one_without_any() -> None:
    assert template_in(None)(MESSAGES) == "user: hi\nassistant:"


def test_a_template_of_the_tokenizer_with_its_special_tokens(tmp_path: Path) -> None:
    config = {"chat_template": OWN, "bos_token": {"content": "<s>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert template_in(tmp_path)(MESSAGES) == "<s>[user]hi>"
    (tmp_path / "chat_template.jinja").write_text("{{ messages | tojson }}")
    assert json.loads(template_in(tmp_path)(MESSAGES)) == MESSAGES


def test_a_named_template(tmp_path: Path) -> None:
    named = [{"name": "tools", "template": "no"}, {"name": "default", "template": "yes"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert template_in(tmp_path)(MESSAGES) == "yes"


def test_templates_that_refuse_fail_or_reach_out(tmp_path: Path) -> None:
    for text, kind, said in (
        ("{{ raise_exception('only users') }}", Refusal, "only users"),
        ("{{ ''.__class__.__mro__ }}", Refusal, "refuses"),
        ("{% for %}", ConfigurationError, "cannot be read"),
    ):
        (tmp_path / "chat_template.jinja").write_text(text)
        with pytest.raises(kind, match=said):
            template_in(tmp_path)(MESSAGES)
