"""Start Triton on the model files that were measured, and on no others.

    python3 start.py LOCK MODELS COMMAND...

LOCK is bundle.lock.json, MODELS the model repository as it is mounted, COMMAND tritonserver with its arguments. Every
file of the lock must be there with its SHA-256, and no other file may be. Then this process becomes the server, so
that signals reach it. Needs Python 3.8 or newer and nothing else. Exit code 1 for a file that is not what was measured.

The APIs that change a running server (shared memory, model repository, trace and log settings) are closed by a key
that is drawn anew at each start and told to nobody; TRITON_ADMIN_KEY, set from a secret, opens them to its holder:
the header `poc-admin-key` in HTTP, `triton-grpc-protocol-poc-admin-key` in gRPC.
"""

import hashlib
import json
import os
import secrets
import sys
from pathlib import Path

RESTRICTED = "shared-memory,model-repository,trace,logging"
FOLDER = "model_repository/"
#: Keeps an empty version folder alive where folders without files are lost; no model reads it.
KEPT = ".keep"


def complaint(lock, models):
    """What is wrong with the model files; None when they are those of the lock."""
    expected = {path[len(FOLDER) :]: digest for path, digest in lock["files"].items() if path.startswith(FOLDER)}
    for path, digest in sorted(expected.items()):
        if not (models / path).is_file():
            return f"{models / path} is missing"
        if sha256(models / path) != digest:
            return f"{models / path} is not the file that was measured"
    for path in sorted(models.rglob("*")):
        name = path.relative_to(models).as_posix()
        # Volumes have hidden folders of their own, which Triton does not load.
        if name not in expected and not path.is_dir() and path.name != KEPT and not name.startswith("."):
            return f"{path} was not there when the models were measured"
    return None


def sha256(path):
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def restrictions():
    """The arguments that close the APIs which change a running server."""
    key = os.environ.pop("TRITON_ADMIN_KEY", "") or secrets.token_hex(32)
    return [
        f"--{flag}={RESTRICTED}:poc-admin-key={key}" for flag in ("http-restricted-api", "grpc-restricted-protocol")
    ]


def main(lock, models, *command):
    try:
        found = complaint(json.loads(Path(lock).read_text(encoding="utf-8")), Path(models))
    except OSError as error:
        found = str(error)
    if found:
        sys.stderr.write(f"error: {found}; deploy the bundle again, whole\n")
        return 1
    sys.stderr.write(f"the model files are those of {lock}\n")
    sys.stderr.flush()
    os.execvp(command[0], [*command, *restrictions()])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
