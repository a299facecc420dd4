"""From the URL that a user writes to an Endpoint, with what only the environment knows: the server's authorization.

It opens no connection, and asks nobody whether the address exists.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from toolkit.errors import UsageError
from toolkit.serve.server import Endpoint
from toolkit.serve.tls import Tls

SCHEMES = ("http", "https", "grpc", "grpcs")
TLS_SCHEMES, TLS_PORT = ("https", "grpcs"), 443
#: The environment variable that holds what a server asks for in the header of that name.
AUTHORIZATION = "TOOLKIT_AUTHORIZATION"


def endpoint_from_url(url: str) -> Endpoint:
    """The Endpoint of a server's URL without a path, or of its two URLs with a comma between: http://h:1,grpc://h:2.

    Without a scheme it is http://; https:// and grpcs:// speak TLS, at port 443 unless another is given. Of a server
    with a gRPC address alone neither metadata nor statistics can be read. `authorization` is what the environment
    variable TOOLKIT_AUTHORIZATION holds. Raises UsageError.
    """
    given = [_scheme_and_place(one.strip()) for one in url.split(",")]
    places = {scheme.rstrip("s"): place for scheme, place in given}
    uses_tls = {scheme in TLS_SCHEMES for scheme, _ in given}
    if len(places) < len(given) or len(uses_tls) > 1:
        raise UsageError(
            f"--url '{url}': expected one address for HTTP and one for gRPC, both with TLS or both without",
            mend="write it as http://host:8000,grpc://host:8001",
        )
    return Endpoint(
        http=places.get("http", ""),
        grpc=places.get("grpc", ""),
        tls=Tls() if uses_tls == {True} else None,
        authorization=_authorization(),
    )


def _scheme_and_place(url: str) -> tuple[str, str]:
    mend = "write it as http://host:port, for example http://127.0.0.1:8000; https, grpc and grpcs go too"
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in SCHEMES:
        raise UsageError(f"--url '{url}': {parts.scheme}:// is not one of {', '.join(SCHEMES)}", mend=mend)
    try:
        host, port = parts.hostname, parts.port or (TLS_PORT if parts.scheme in TLS_SCHEMES else None)
    except ValueError as err:
        raise UsageError(f"--url '{url}': {err}", mend=mend) from err
    if not host or not port or parts.path.strip("/") or parts.query or parts.username:
        raise UsageError(f"--url '{url}' is not an address of a server", mend=mend)
    return parts.scheme, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _authorization() -> str:
    value = os.environ.get(AUTHORIZATION, "").strip()
    if not (value.isascii() and value.isprintable()):
        raise UsageError(f"{AUTHORIZATION} is not the value of a header", mend=f'export {AUTHORIZATION}="Bearer ..."')
    return value
