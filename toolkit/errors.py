"""Every error that the toolkit raises on purpose, and the exit code that the command line gives it.

ToolkitError                     70 when it is none of those below
├── UsageError                    2 an argument that makes no sense
├── ConfigurationError            2 a poc.yaml, price book, config.pbtxt or run folder that cannot be read
├── ModelRefused                  2 a model that is unsafe, unreadable or of an unknown kind
├── ExportFailed                  2 a model that cannot be converted as asked
├── RepositoryError               2 a model repository that cannot be written or served as it is
├── MissingDependency             3 an optional package or system library that is absent
├── EnvironmentProblem            3 a machine that cannot do what was asked (disk full, no GPU, port in use)
└── ServerTrouble                 4 a server that does not start, does not answer or died

A verdict is not an error: parity that failed and an SLO that is unmet are values, and exit code 1.
A message says what, where and with which value; `mend` is the command or the change that puts it right.
"""

from __future__ import annotations


class ToolkitError(Exception):
    """Work that could not be done. `mend` is what the reader should do about it, one line."""

    exit_code = 70

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message}\n  mend: {self.mend}" if self.mend else self.message


class UsageError(ToolkitError):
    """An argument that makes no sense."""

    exit_code = 2


class ConfigurationError(ToolkitError):
    """A file that somebody wrote and that cannot be understood; the message names the file and the field."""

    exit_code = 2


class ModelRefused(ToolkitError):
    """A model that is unsafe to open, damaged, or of an unknown kind."""

    exit_code = 2


class ExportFailed(ToolkitError):
    """A model that was opened but cannot be converted as asked."""

    exit_code = 2


class RepositoryError(ToolkitError):
    """A model repository that cannot be written or served as it is."""

    exit_code = 2


class MissingDependency(ToolkitError):
    """An optional package or system library that is absent; `mend` installs it."""

    exit_code = 3


class EnvironmentProblem(ToolkitError):
    """A machine that cannot do what was asked."""

    exit_code = 3


class ServerTrouble(ToolkitError):
    """A server that does not start, does not answer, or died."""

    exit_code = 4
