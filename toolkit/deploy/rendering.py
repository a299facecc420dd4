"""Templates to texts. Every value that a template prints is quoted for the kind of file it stands in.

In: the name of a file below deploy_templates/, and values. Out: the text. A name that ends in `.j2` is a Jinja2
template, any other file is taken as it is. Quoting happens in one place, on every `{{ }}`, so that no template can
forget it. This module does not know what the values mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigurationError, EnvironmentProblem

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~#&$])")
#: What makes a list item of a text that starts with it.
_MARKDOWN_LIST = re.compile(r"^(\d*)([-+.)])(?=\s|$)")
_YAML_ESCAPES = {'"': '\\"', "\\": "\\\\"}


class Plain(str):
    """Text that is printed as it is: it was checked or quoted for the place where it stands."""

    __slots__ = ()


def templates_folder() -> Path:
    """Where the templates lie: beside this module in an installed package, in deploy_templates/ of a checkout."""
    installed = Path(__file__).parent / "templates"
    checkout = Path(__file__).parents[2] / "deploy_templates"
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise EnvironmentProblem(
        f"the deployment templates are not at {installed}", mend="pip install --force-reinstall poc-toolkit"
    )


def render(name: str, values: Mapping[str, Any] | None = None, *, folder: Path | None = None) -> str:
    """The text of template `name`, filled with exactly the variables that it names.

    Raises ConfigurationError for a template that is absent or malformed, names a variable that is not given, does not
    use one that is, or prints a value that its kind of file cannot hold.
    """
    path = (folder or templates_folder()) / name
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigurationError(f"{path} cannot be read: {err}") from err
    if path.suffix != ".j2":
        return source
    return _fill(source, values or {}, _quoting(path.stem), path)


def templates_below(prefix: str) -> tuple[str, ...]:
    """The names of the files below `prefix` of the templates' folder, sorted."""
    folder = templates_folder()
    paths = (path for path in (folder / prefix).rglob("*") if path.is_file())
    return tuple(sorted(path.relative_to(folder).as_posix() for path in paths))


def _fill(source: str, values: Mapping[str, Any], quote: Callable[[Any], str], path: Path) -> str:
    import jinja2
    import jinja2.meta

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        finalize=quote,
        autoescape=False,  # `finalize` quotes instead, since none of these files is HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": plain, "comment": comment, "block": block, "lines": lines}
    try:
        named = jinja2.meta.find_undeclared_variables(environment.parse(source))
        _check_variables(named, values.keys(), path)
        return environment.from_string(source).render(values)
    except (jinja2.TemplateError, TypeError, ValueError) as err:
        raise ConfigurationError(f"{path}: {err}") from err


def _check_variables(named: set[str], given: Any, path: Path) -> None:
    known = ", ".join(sorted(given))
    if unknown := named - given:
        raise ConfigurationError(f"{path} names {min(unknown)!r}, which nothing fills", mend=f"use one of: {known}")
    if unused := given - named:
        raise ConfigurationError(f"{path} does not use {min(unused)!r}", mend=f"print each of: {known}")


def _quoting(file: str) -> Callable[[Any], str]:
    """How values are quoted in a file of this name."""
    if file.startswith("docker-compose"):
        return compose_value
    by_suffix = {".yaml": yaml_value, ".yml": yaml_value, ".md": markdown_text, ".tf": hcl_value}
    return by_suffix.get(Path(file).suffix, plain)


def yaml_value(value: Any) -> str:
    """A value as one line of YAML: quoted text, a whole number, true or false, or a flow collection of these."""
    if isinstance(value, Plain | int):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, str):
        return '"' + "".join(_yaml_character(c) for c in value) + '"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{yaml_value(str(k))}: {yaml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(yaml_value(v) for v in value) + "]"
    return _refuse(value)


def _yaml_character(character: str) -> str:
    """Printable characters stay; YAML would fold U+0085 and U+2028 and refuse other control characters."""
    if character in _YAML_ESCAPES or character.isprintable():
        return _YAML_ESCAPES.get(character, character)
    return f"\\U{ord(character):08x}"


def compose_value(value: Any) -> str:
    """`yaml_value` with every `$` doubled, which compose's interpolation takes for one `$`."""
    return yaml_value(value).replace("$", "$$")


def hcl_value(value: Any) -> str:
    """A value as one line of HCL: quoted text in which nothing is a template, a whole number, a list or an object.

    Source: github.com/hashicorp/hcl hclsyntax/spec.md, "Quoted Template Expressions".
    """
    if isinstance(value, str):
        text = "".join(_hcl_character(c) for c in value)
        # An escape is read after templates are found; `$${` would be read anew when another `$` stands before it.
        return '"' + re.sub(r"[$%](?=\{)", lambda m: f"\\u{ord(m[0]):04x}", text) + '"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{hcl_value(str(k))} = {hcl_value(v)}" for k, v in value.items()) + " }"
    return yaml_value(value)


def _hcl_character(character: str) -> str:
    if character in _YAML_ESCAPES or character.isprintable():
        return _YAML_ESCAPES.get(character, character)
    return f"\\U{ord(character):08x}"


def markdown_text(value: Any) -> str:
    """A value as one line of Markdown prose: no markup, no line break, no HTML."""
    if isinstance(value, Plain | int):
        return str(value)
    if isinstance(value, str):
        visible = "".join(c if c.isprintable() else " " for c in value).strip()
        return _MARKDOWN_LIST.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", visible))
    return _refuse(value)


def plain(value: Any) -> Plain:
    """A value that holds only letters, digits and `._/:@-`. Raises ValueError for any other."""
    text = str(value)
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"{text!r} cannot stand here unquoted")
    return Plain(text)


def comment(value: Any) -> Plain:
    """A value as the rest of a comment line."""
    return Plain("".join(c if c.isprintable() else " " for c in str(value)))


def block(value: str, indent: int) -> Plain:
    """A text of several lines as a YAML block at `indent` spaces, which must be two more than those of its key.

    A text with characters that a block cannot hold becomes one quoted line.
    """
    if not all(c.isprintable() or c == "\n" for c in value) or not value.strip():
        return Plain(yaml_value(value))
    body, rest = value.rstrip("\n"), len(value) - len(value.rstrip("\n"))
    shifted = (" " * indent + line if line else "" for line in body.split("\n"))
    return Plain(f"|2{('-', '')[rest] if rest < 2 else '+'}\n" + "\n".join(shifted) + "\n" * max(rest - 1, 0))


def lines(value: Mapping[str, Any], indent: int) -> Plain:
    """A mapping as lines of YAML at `indent` spaces, below its key."""
    return Plain("".join(f"\n{' ' * indent}{key_text(k)}: {yaml_value(v)}" for k, v in value.items()))


def key_text(key: str) -> str:
    """A mapping's key, bare where it can be."""
    return key if _PLAIN.fullmatch(key) else yaml_value(key)


def _refuse(value: Any) -> str:
    # The text of a StrictUndefined is an UndefinedError that names the missing attribute.
    raise TypeError(f"a {type(value).__name__} cannot be printed: {value!s}")
