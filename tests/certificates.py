"""Certificates for tests, made by the openssl program."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def certificate(folder: Path, name: str = "server", *, host: str = "127.0.0.1", days: int = 2) -> Path:
    """A file with a self-signed certificate for `host` and its key. Skips where there is no openssl."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("there is no openssl program to make a certificate with")
    key, made, both = (folder / f"{name}.{kind}" for kind in ("key", "crt", "pem"))
    kind = "IP" if host[0].isdigit() else "DNS"
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    options = ["-days", str(days), "-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{host}"]
    subprocess.run([*command, *options, "-keyout", key, "-out", made], check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + made.read_bytes())
    return both


def server_context(pem: Path) -> ssl.SSLContext:
    """How a server shows that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context
