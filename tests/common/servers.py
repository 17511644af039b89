"""A server on this machine that answers just as a test says, byte by byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Handler = Callable[[bytes], bytes | Iterator[bytes]]


def answer(
    body: bytes = b"", *, status: str = "200 OK", length: bool = True, headers: tuple[str, ...] = ()
) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def server(handler: Handler, host: str = "127.0.0.1") -> Iterator[int]:
    """Answers each connection with what the handler makes of the request's head and body; gives the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    _converse(connection, handler)

    thread = threading.Thread(target=serve, name="server", daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ending.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _converse(connection: socket.socket, handler: Handler) -> None:
    request = b""
    while b"\r\n\r\n" not in request and (piece := connection.recv(2**16)):
        request += piece
    head, _, body = request.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += connection.recv(2**16)
    given = handler(head + b"\r\n\r\n" + body)
    for piece in [given] if isinstance(given, bytes) else given:
        connection.sendall(piece)
