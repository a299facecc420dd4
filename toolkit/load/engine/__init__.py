"""The load engine: sends requests as a Load says, and writes down what came of each."""

from toolkit.load.engine.loop import Progress
from toolkit.load.engine.merge import Check
from toolkit.load.engine.point import TIMEOUT_S, drive

__all__ = ["TIMEOUT_S", "Check", "Progress", "drive"]
