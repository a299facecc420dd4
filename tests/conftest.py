"""For every test: Ctrl-C means what it means at a terminal, also where the tests were started in the background."""

from __future__ import annotations

import signal

# A shell without job control starts background commands with SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
