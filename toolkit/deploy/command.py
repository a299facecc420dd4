"""How Triton is started: the flags, and the program that checks the model files before it becomes Triton. Data."""

from __future__ import annotations

#: `--metrics-config=summary_latencies=true` gives the quantiles that the latency alerts and the dashboard read.
TRITON_COMMAND = (
    "tritonserver",
    "--model-repository=/models",
    "--model-control-mode=none",
    "--strict-readiness=true",
    "--exit-on-error=true",
    "--disable-auto-complete-config",
    "--allow-sagemaker=false",
    "--allow-vertex-ai=false",
    "--metrics-config=summary_latencies=true",
)

#: Where every target mounts what `start.py` reads.
LOCK_PLACE, START_PLACE, MODELS_PLACE = "/bundle/bundle.lock.json", "/bundle/start/start.py", "/models"

#: Triton, started only on the model files of the lock, with the APIs closed that change a running server.
CHECKED_COMMAND = ("python3", START_PLACE, LOCK_PLACE, MODELS_PLACE, *TRITON_COMMAND)
