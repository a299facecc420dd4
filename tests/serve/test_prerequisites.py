from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import toolkit

CODE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from toolkit.serve.prerequisites import problems
print(json.dumps([[type(p).__name__, p.message, p.mend] for p in problems()]))
"""


def test_a_bare_python_is_told_everything_it_lacks_and_how_to_mend_it() -> None:
    root = Path(toolkit.__file__).parents[1]
    # -S: without site-packages.
    done = subprocess.run([sys.executable, "-S", "-c", CODE, str(root)], check=True, capture_output=True, text=True)
    found = {mend: (kind, message) for kind, message, mend in json.loads(done.stdout)}
    assert found["pip install 'poc-toolkit[embedded]'"][0] == "MissingDependency"
    assert "onnxruntime" in found["pip install 'poc-toolkit[cpu]'"][1]
    assert "numpy is absent" in found["pip install 'numpy>=1.26,<2'"][1]
