"""Messages to one prompt: by the tokenizer's own chat template, else by a plain one that is stated here.

In: a folder with tokenizer_config.json or chat_template.jinja. Out: a function of messages. Templates are the model
maker's code, so they run in jinja2's sandbox, as in Hugging Face's own library.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigurationError
from toolkit.serve.openai.request import Refusal

Messages = list[dict[str, str]]
#: Where a tokenizer has no template of its own: each message on a line behind its role, the answer to be continued.
PLAIN = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def template_in(folder: Path | None) -> Callable[[Messages], str]:
    """The function that makes a prompt of messages. Raises ConfigurationError for a template that is none."""
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    text, special = _found(folder)
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now(UTC).strftime(form)}
    try:
        template = environment.from_string(text)
    except jinja2.TemplateError as err:
        raise ConfigurationError(f"{folder}: the chat template cannot be read: {err}") from err

    def prompt(messages: Messages) -> str:
        try:
            return template.render(messages=messages, add_generation_prompt=True, **special)
        except jinja2.TemplateError as err:
            raise Refusal(f"the model's chat template refuses these messages: {err}", param="messages") from err

    return prompt


def _refuse(message: str) -> None:
    raise Refusal(message, param="messages")


def _found(folder: Path | None) -> tuple[str, Mapping[str, Any]]:
    """The template of a folder and its special tokens; PLAIN where there is none."""
    if folder is None:
        return PLAIN, {}
    config, own = folder / "tokenizer_config.json", folder / "chat_template.jinja"
    said = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    special = {key: _token(value) for key, value in said.items() if key.endswith("_token")}
    if own.is_file():
        return own.read_text(encoding="utf-8"), special
    text = said.get("chat_template")
    if isinstance(text, list):  # several by name
        text = next((t["template"] for t in text if t.get("name") == "default"), None)
    return text or PLAIN, special


def _token(value: Any) -> str:
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")
