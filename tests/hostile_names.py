"""Names that try to break out of the files that hold them, and what of a file must not change with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from markdown_it import MarkdownIt

HOSTILE = (
    'it\'s "quoted" `here`',
    "line\nbreak:\r\n- item\u2028\x85end",
    "${HOME} $$ $(id) %(x)s",
    "{{ 7 * 7 }} {% raw %} {# #} [[x]]",
    "# heading <b>*bold* | cell | [link](http:x) <http:x> ~~s~~ &amp; ![i](u)",
    "Größe 模型 😀 \u202e\ufeff",
    "x" * 200,
    "\\ \t 'a': &b *c !d -e ?f @g %h",
    " - --flag=1; rm -rf * ",
)


def shape(data: Any) -> Any:
    """Data without the text of its values."""
    if isinstance(data, dict):
        return {key: shape(value) for key, value in data.items()}
    if isinstance(data, list):
        return [shape(value) for value in data]
    return type(data).__name__


def markup(text: str) -> list[str]:
    """The kinds of Markdown elements of a text, without adjacent runs of text."""
    return list(_markup(MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)))


def _markup(tokens: list[Any]) -> Iterator[str]:
    for token in tokens:
        if token.type not in ("text", "softbreak"):
            yield token.type
        yield from _markup(token.children or [])


def interpolated(text: str) -> str:
    """What compose makes of a value; it must name no variable."""
    assert "$" not in text.replace("$$", "")
    return text.replace("$$", "$")
