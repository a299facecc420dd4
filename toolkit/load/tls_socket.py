"""TLS over a non-blocking socket, with the few methods that a connection uses of a plain one.

The handshake goes on with every `send` and `recv`. Whatever OpenSSL still waits for is a BlockingIOError, as of a plain
socket; a failure of TLS is told from one of the network.
"""

from __future__ import annotations

import socket
import ssl


class WantsToRead(BlockingIOError):
    """TLS goes on when the socket is readable; that it is writable does not help."""


class TlsFailed(OSError):
    """There is no agreement, or no trust."""


class TlsSocket:
    """A socket that is about to connect to a host of that `name`, and speaks TLS when it has."""

    __slots__ = ("_context", "_name", "_socket", "_tls")

    def __init__(self, connecting: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self._socket, self._context, self._name = connecting, context, name
        self._tls: ssl.SSLSocket | None = None

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as the socket takes, at least a byte. Raises BlockingIOError, TlsFailed, OSError."""
        view, sent = memoryview(data), 0
        tls = self._tls or self._greeted()
        while sent < len(view):  # OpenSSL takes one record of 16 KiB at a time
            try:
                sent += tls.send(view[sent:])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as err:
                if sent:
                    break
                raise _waiting(err) from err
            except ssl.SSLError as err:
                raise TlsFailed(str(err)) from err
        return sent

    def recv(self, size: int) -> bytes:
        """What has come, `size` bytes or a little more: what OpenSSL holds already, no poller would tell."""
        tls = self._tls or self._greeted()
        try:
            data = tls.recv(size)
            while data and (held := tls.pending()):
                data += tls.recv(held)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as err:
            raise _waiting(err) from err
        except ssl.SSLError as err:
            raise TlsFailed(str(err)) from err
        return data

    def close(self) -> None:
        """Close without a farewell: nobody waits for one."""
        self._socket.close()

    def _greeted(self) -> ssl.SSLSocket:
        """The connection after its handshake; goes on with it."""
        if not isinstance(self._socket, ssl.SSLSocket):
            if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise ConnectionError(error, "connect")
            try:
                self._socket.getpeername()
            except OSError as err:
                raise BlockingIOError from err  # still connecting
            self._socket = self._context.wrap_socket(
                self._socket, server_hostname=self._name, do_handshake_on_connect=False
            )
        try:
            self._socket.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as err:
            raise _waiting(err) from err
        except (ssl.SSLError, ssl.CertificateError) as err:
            raise TlsFailed(str(err)) from err
        self._tls = self._socket
        return self._tls


def _waiting(err: ssl.SSLError) -> BlockingIOError:
    return WantsToRead() if isinstance(err, ssl.SSLWantReadError) else BlockingIOError()
