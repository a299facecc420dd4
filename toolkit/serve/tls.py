"""How a server's certificate is checked, and how we show ours: from plain values to an `ssl.SSLContext`.

It opens no connection, and knows neither HTTP nor gRPC.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS with the certificate authorities of the file `ca`, or those of this machine.

    Those of the machine are what OpenSSL finds, and the environment variable SSL_CERT_FILE names others. Without
    `verify` any certificate passes, of any host. `certificate` and `key` are what a server that asks for one is shown.
    """

    ca: Path | None = None
    verify: bool = True
    certificate: Path | None = None
    key: Path | None = None


def context_of(tls: Tls, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    """A client's context; `protocols` are offered by ALPN, the best first. Raises ConfigurationError for its files."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key)
    except OSError as err:  # ssl.SSLError, too
        files = ", ".join(str(path) for path in (tls.ca, tls.certificate, tls.key) if path)
        raise ConfigurationError(f"{files} cannot be used for TLS: {err}", mend="give PEM files") from err
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context
