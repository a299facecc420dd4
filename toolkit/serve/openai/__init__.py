"""An OpenAI-compatible face of a served text generator, so that existing clients can be tried on it."""

from toolkit.serve.openai.facade import Facade, Model, facade

__all__ = ["Facade", "Model", "facade"]
