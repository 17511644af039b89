"""Requests to addresses that people name: to public hosts only, connected to the very address that was checked.

Each redirect is checked like the first address. What it costs is bounded: bytes, seconds, redirects. Proxies of the
environment are not used, nothing is unpacked, no credentials or cookies are sent.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from django.conf import settings

from annotator.common import addresses
from annotator.common.addresses import Network, Resolver
from annotator.common.errors import AnnotatorError

MAX_REDIRECTS = 5
MAX_URL = 2_000
PIECE = 2**16
OVERHEAD = 2**20  # bytes that headers and chunk sizes may take beside the body
BODY_START = 2_000
REDIRECTS = frozenset({301, 302, 303, 307, 308})
DEFAULT_PORTS = {"http": 80, "https": 443}
AGENT = "Annotator"
# Parsers disagree on what these mean in an address, which is how one is talked into calling another host.
FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
PATH_SAFE = "/%:@!$&'()*+,;=-._~"
HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?", re.IGNORECASE)
HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})


class FetchRefused(AnnotatorError):
    """The address is none that may be asked."""

    code, status = "fetch_refused", 422


class FetchFailed(AnnotatorError):
    """The address was asked, and what came is no use."""

    code, status = "fetch_failed", 502


@dataclass(frozen=True)
class Fetched:
    status: int
    media_type: str
    size: int
    final_url: str


@dataclass(frozen=True)
class Posted:
    """`body_start`: the first characters of what the server said."""

    status: int
    body_start: str


@dataclass(frozen=True)
class Target:
    """Where a checked URL leads: `addresses` are those that may be connected to, best first."""

    url: str
    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[str, ...]

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def fetch(
    url: str, *, max_bytes: int, timeout: float, into: BinaryIO, resolver: Resolver | None = None
) -> Fetched:
    """GET the URL into a file; FetchRefused or FetchFailed. `timeout` is for all of it, redirects included."""
    deadline = time.monotonic() + timeout
    for _ in range(MAX_REDIRECTS + 1):
        target = check(url, deadline=deadline, resolver=resolver)
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        with closing(send(target, "GET", headers, b"", max_bytes=max_bytes, deadline=deadline)) as answer:
            if answer.status in REDIRECTS:
                url = _next(target, answer)
                continue
            if answer.status != 200:
                raise FetchFailed(f"{target.host} answered {answer.status} {answer.reason[:100]}.".rstrip())
            size = copy_body(answer, into, max_bytes)
            media_type = (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower()[:100]
            return Fetched(answer.status, media_type, size, target.url)
    raise FetchFailed(f"There are more than {MAX_REDIRECTS} redirects.")


def post(
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    timeout: float,
    resolver: Resolver | None = None,
) -> Posted:
    """POST the body; redirects are not followed but told like any other status. FetchRefused or FetchFailed."""
    deadline = time.monotonic() + timeout
    target = check(url, deadline=deadline, resolver=resolver)
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
            raise FetchRefused(f"The header {name[:50]!r} cannot be sent.")
    sent = {name: value for name, value in headers.items() if name.lower() not in OWN_HEADERS}
    sent |= {"Accept-Encoding": "identity"}
    with closing(send(target, "POST", sent, body, max_bytes=OVERHEAD, deadline=deadline)) as answer:
        with _words(target.host):
            start = answer.read(BODY_START)
        return Posted(answer.status, start.decode("utf-8", "replace").replace("\0", "�"))


def check(url: str, *, deadline: float, resolver: Resolver | None = None) -> Target:
    """The host and the addresses of a URL, all of them allowed; FetchRefused says which rule it breaks."""
    parts, port = _parts(url)
    host = _host(parts)
    if not any(low <= port <= high for low, high in settings.FETCH_PORTS):
        raise FetchRefused(f"Port {port} may not be asked.")
    try:
        found = addresses.resolve_within(
            resolver or addresses.resolve, host, port, deadline - time.monotonic()
        )
    except TimeoutError:
        raise FetchFailed(f"The name {host} could not be looked up in time.") from None
    except (OSError, UnicodeError):
        raise FetchFailed(f"There is no host {host}.") from None
    allowed: tuple[Network, ...] = settings.FETCH_ALLOW
    # One bad address is enough: a name that has public and private ones is a trap.
    if not found or not all(addresses.may_reach(address, allowed) for address in found):
        raise FetchRefused(
            f"{host} is not a public address.",
            hint="An administrator can allow networks of yours with ANNOTATOR_FETCH_ALLOW.",
        )
    path = quote(parts.path or "/", safe=PATH_SAFE)
    if parts.query:
        path += "?" + quote(parts.query, safe=PATH_SAFE + "?[]")
    return Target(url, parts.scheme.lower(), host, port, path, tuple(found))


def send(
    target: Target,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    max_bytes: int,
    deadline: float,
) -> http.client.HTTPResponse:
    """The answer with its headers read; its body comes as it is read. FetchFailed when there is none. Close it."""
    with _words(target.host):
        connection = _connected(target, deadline)
        try:
            lines = {"Host": target.authority, "User-Agent": AGENT, **headers, "Connection": "close"}
            if body or method == "POST":
                lines["Content-Length"] = str(len(body))
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            connection.settimeout(_left(deadline))
            connection.sendall(f"{method} {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body)
            wire: Any = _Wire(connection, deadline, max_bytes + OVERHEAD)
            answer = http.client.HTTPResponse(wire, method=method)
            answer.begin()
        except BaseException:
            connection.close()
            raise
    # The response reads from the connection for as long as it lives.
    connection_closed: Callable[[], None] = connection.close
    finish = answer.close

    def close_both() -> None:
        finish()
        connection_closed()

    answer.close = close_both  # type: ignore[method-assign]
    return answer


def copy_body(answer: http.client.HTTPResponse, into: BinaryIO, max_bytes: int) -> int:
    """Write the body into a file; its size. FetchFailed when it is larger, shorter than announced, or packed."""
    encoding = (answer.getheader("Content-Encoding") or "identity").strip().lower()
    transfer = (answer.getheader("Transfer-Encoding") or "chunked").strip().lower()
    if encoding != "identity" or transfer != "chunked":
        raise FetchFailed("The server sent compressed data although it was asked not to.")
    announced = _announced(answer)
    too_large = f"The file is larger than {max_bytes:,} bytes."
    if announced is not None and announced > max_bytes:
        raise FetchFailed(too_large)
    size = 0
    with _words("The server"):
        while piece := answer.read(PIECE):
            size += len(piece)
            if size > max_bytes:
                raise FetchFailed(too_large)
            into.write(piece)
    if announced is not None and size != announced:
        raise FetchFailed(f"The transfer broke off: {size:,} of {announced:,} bytes came.")
    return size


def _parts(url: str) -> tuple[SplitResult, int]:
    if len(url) > MAX_URL:
        raise FetchRefused(f"The address is longer than {MAX_URL:,} characters.")
    if FORBIDDEN.search(url):
        raise FetchRefused("The address contains spaces, control characters or backslashes.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise FetchRefused("This is not an address that can be asked.") from None
    if parts.scheme.lower() not in DEFAULT_PORTS:
        raise FetchRefused("Only addresses that begin with http:// or https:// can be asked.")
    if parts.username is not None or parts.password is not None:
        raise FetchRefused("The address contains a user name or a password.")
    return parts, DEFAULT_PORTS[parts.scheme.lower()] if port is None else port


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if parts.netloc.startswith("["):
        # An IPv6 address; a zone would name an interface of this machine.
        if "%" in host or ":" not in host:
            raise FetchRefused("This is not an address that can be asked.")
        return host
    try:
        host = host.encode("idna").decode("ascii") if not host.isascii() else host
    except UnicodeError:
        raise FetchRefused("The host name is none.") from None
    if not HOST.fullmatch(host) or addresses.is_odd_number(host):
        raise FetchRefused("The host is neither a name nor an address as people write it.")
    return host


def _connected(target: Target, deadline: float) -> socket.socket:
    """A connection to one of the checked addresses, never to what the name means by now."""
    last: OSError = OSError("no address")
    for address in target.addresses:
        try:
            plain = socket.create_connection((address, target.port), timeout=_left(deadline))
        except OSError as error:
            last = error
            continue
        if target.scheme == "http":
            return plain
        try:
            return _tls().wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise
    raise last


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _next(target: Target, answer: http.client.HTTPResponse) -> str:
    location = answer.getheader("Location") or ""
    if not location or len(location) > MAX_URL:
        raise FetchFailed(f"{target.host} redirects to nowhere.")
    try:
        return urljoin(target.url, location).partition("#")[0]
    except ValueError:
        raise FetchRefused("The redirect leads to no address that can be asked.") from None


def _announced(answer: http.client.HTTPResponse) -> int | None:
    lengths = set(answer.headers.get_all("Content-Length") or [])
    if answer.chunked or not lengths:
        return None
    if len(lengths) > 1 or not all(re.fullmatch(r"[0-9]{1,15}", each.strip()) for each in lengths):
        raise FetchFailed("The server announced a length that is none.")
    return int(lengths.pop())


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@contextmanager
def _words(who: str) -> Iterator[None]:
    """What sockets and parsers raise, as FetchFailed in words."""
    try:
        yield
    except TimeoutError:
        raise FetchFailed(f"{who} took too long to answer.") from None
    except ssl.SSLCertVerificationError as error:
        raise FetchFailed(f"The certificate of {who} is not valid: {error.verify_message}.") from None
    except _TooMuch:
        raise FetchFailed(f"{who} sent more than it may.") from None
    except OSError as error:
        raise FetchFailed(f"{who} cannot be reached: {error.strerror or error}.") from None
    except (http.client.HTTPException, ValueError):
        raise FetchFailed(f"{who} does not answer as web servers do.") from None


class _TooMuch(Exception):
    """More bytes came than the whole answer may have."""


class _Wire:
    """A socket as http.client wants to read it."""

    def __init__(self, connection: socket.socket, deadline: float, limit: int) -> None:
        self._raw = _Limited(connection, deadline, limit)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._raw)


class _Limited(io.RawIOBase):
    """Reads until a deadline for the whole answer and at most `limit` bytes of it, however slowly they drip."""

    def __init__(self, connection: socket.socket, deadline: float, limit: int) -> None:
        self._connection, self._deadline, self._room = connection, deadline, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._deadline))
        count = self._connection.recv_into(buffer)
        self._room -= count
        if self._room < 0:
            raise _TooMuch
        return count
