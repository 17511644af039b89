"""Requests to addresses that people name: what is refused before a connection, and what while the answer comes."""

from __future__ import annotations

import gzip
import io
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from annotator import env
from annotator.common import addresses
from annotator.common import fetch as module
from annotator.common.fetch import Fetched, FetchFailed, FetchRefused, fetch, post
from tests.common.servers import answer, server


@pytest.fixture
def here(settings: Settings) -> Settings:
    """The local server may be asked."""
    settings.FETCH_ALLOW = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    settings.FETCH_PORTS = ((1, 65535),)
    return settings


def get(url: str, *, max_bytes: int = 1_000, timeout: float = 10, **options: Any) -> tuple[bytes, Fetched]:
    into = io.BytesIO()
    found = fetch(url, max_bytes=max_bytes, timeout=timeout, into=into, **options)
    return into.getvalue(), found


def nobody(host: str, port: int) -> list[str]:
    raise AssertionError("no name may be looked up for this")


# Before anything is asked


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "//example.org/a", "ftp://example.org/a", "file:///etc/passwd", "gopher://example.org:70/",
        "data:image/png;base64,AA", "javascript:alert(1)", "dict://127.0.0.1:11211/stats", "http:///a",
        "http://user@example.org/", "http://user:pw@example.org/", "http://example.org@127.0.0.1/", "http://:@example.org/",
        "http://example.org:22/", "http://example.org:6379/", "http://example.org:0/", "http://example.org:99999/",
        "http://example.org:a/", "http://example.org/a b", "http://example.org/\r\nHost: x", "http://exa\tmple.org/",
        "http://example.org\\@127.0.0.1/", "http://[::1", "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/",
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://127.1/",
        "http://0/", "http://127.0.0.1.2/", "http://127.0.0.01/", "http://1.2.3/", "http://example.0x1/",
        "http://-.example.org-/", "http://exa mple.org/", "http://[127.0.0.1]/", "http://a\u3002\u3002b/",
        "http://" + "a" * 3000,
    ],
)  # fmt: skip
def test_addresses_that_may_not_be_asked_are_refused_before_any_lookup(url: str) -> None:
    with pytest.raises((FetchRefused, FetchFailed)) as caught:
        get(url, resolver=nobody)
    assert isinstance(caught.value, FetchRefused)
    assert caught.value.status == 422


PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "203.0.113.9",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "2001:db8::1", "100::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "2001:0:7f00:1::", "5f00::1", "3fff::1", "fe80::1%eth0",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_names_of_private_addresses_are_refused_whatever_their_form(address: str) -> None:
    with pytest.raises(FetchRefused, match="not a public address"):
        get("http://example.org/", resolver=lambda host, port: [address])


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "[::1]", "[::ffff:7f00:1]", "[fd00::1]"])
def test_private_addresses_themselves_are_refused(address: str) -> None:
    with pytest.raises(FetchRefused):
        get(f"http://{address}/")
    with pytest.raises(FetchRefused):
        post(f"http://{address}/", body=b"", headers={}, timeout=5)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert addresses.may_reach(address)


@given(st.ip_addresses())
@settings(derandomize=True, max_examples=300, deadline=None)
def test_what_may_be_reached_is_global_to_python_too(address: Any) -> None:
    if addresses.may_reach(str(address)):
        meant = addresses.embedded(address)
        assert meant.is_global
        assert not meant.is_multicast


def test_one_private_address_among_public_ones_is_enough() -> None:
    with pytest.raises(FetchRefused):
        get("http://example.org/", resolver=lambda host, port: ["8.8.8.8", "10.0.0.1"])


def test_only_networks_that_the_administrator_names_are_excepted(here: Settings) -> None:
    here.FETCH_ALLOW = (ip_network("10.1.0.0/16"), ip_network("fd12::/48"))
    reach = [each for each in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "10.2.0.1", "127.0.0.1", "fd13::1")
             if addresses.may_reach(each, here.FETCH_ALLOW)]  # fmt: skip
    assert reach == ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1"]


def test_the_address_that_was_checked_is_the_one_that_is_asked(here: Settings) -> None:
    """A name whose answer changes between the check and the connection: it is looked up once."""
    asked: list[str] = []

    def changing(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.9.9.9"]

    with server(lambda request: answer(b"ok")) as port:
        assert get(f"http://name.test:{port}/", resolver=changing)[0] == b"ok"
        assert asked == ["name.test"]
        with pytest.raises(FetchRefused):
            get(f"http://name.test:{port}/", resolver=changing)


def test_a_name_that_does_not_exist_and_one_that_is_not_answered_in_time(here: Settings) -> None:
    def none(host: str, port: int) -> list[str]:
        raise socket.gaierror

    with pytest.raises(FetchFailed, match="no host"):
        get("http://name.test/", resolver=none)
    ending = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        ending.wait(20)
        return ["127.0.0.1"]

    with pytest.raises(FetchFailed, match="in time"):
        get("http://name.test/", resolver=slow, timeout=0.05)
    ending.set()


# What comes back


def test_a_file_comes_with_its_type_and_size(here: Settings) -> None:
    seen: list[bytes] = []

    def handler(request: bytes) -> bytes:
        seen.append(request)
        return answer(b"x" * 700, headers=("Content-Type: Image/PNG; charset=x",))

    with server(handler) as port:
        url = f"http://127.0.0.1:{port}/a%20b/ü?q=ü&r=%2F"
        data, found = get(url)
    assert data == b"x" * 700
    assert found == Fetched(200, "image/png", 700, url)
    head = seen[0].decode()
    assert head.startswith("GET /a%20b/%C3%BC?q=%C3%BC&r=%2F HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{port}\r\n" in head
    assert "\r\nAccept-Encoding: identity\r\n" in head
    assert not {"cookie", "authorization", "referer"} & {
        line.split(":")[0].lower() for line in head.split("\r\n")
    }


def test_ipv6_hosts_are_asked(here: Settings) -> None:
    with server(lambda request: answer(b"six"), "::1") as port:
        assert get(f"http://[::1]:{port}/")[0] == b"six"


def redirecting(*targets: str) -> Any:
    """Answers /0, /1 … with redirects to these, whatever comes behind them with a file."""

    def handler(request: bytes) -> bytes:
        path = request.split(b" ")[1].decode()
        n = int(path.strip("/") or 0) if path.strip("/").isdecimal() else len(targets)
        if n < len(targets):
            return answer(status="302 Found", headers=(f"Location: {targets[n]}",))
        return answer(b"end")

    return handler


def test_redirects_are_followed_five_times(here: Settings) -> None:
    with server(redirecting("/1", "/2", "/3", "/4", "/5#part")) as port:
        data, found = get(f"http://127.0.0.1:{port}/0")
        assert (data, found.final_url) == (b"end", f"http://127.0.0.1:{port}/5")
    with (
        server(redirecting("/1", "/2", "/3", "/4", "/5", "/6")) as port,
        pytest.raises(FetchFailed, match="5 redirects"),
    ):
        get(f"http://127.0.0.1:{port}/0")


@pytest.mark.parametrize(
    "target",
    [
        "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::ffff:10.0.0.1]/", "//192.168.0.1/",
        "http://2130706433/", "http://user:pw@127.0.0.1/", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x/",
        "http://[::1/", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_every_redirect_is_checked_like_the_first_address(here: Settings, target: str) -> None:
    with server(redirecting(target)) as port, pytest.raises(FetchRefused):
        get(f"http://127.0.0.1:{port}/0")


def test_a_redirect_to_nowhere_and_an_error_page_are_told(here: Settings) -> None:
    with (
        server(lambda request: answer(status="302 Found")) as port,
        pytest.raises(FetchFailed, match="nowhere"),
    ):
        get(f"http://127.0.0.1:{port}/")
    with (
        server(lambda request: answer(b"no", status="404 Not Found")) as port,
        pytest.raises(FetchFailed, match="404 Not Found"),
    ):
        get(f"http://127.0.0.1:{port}/")


def endless() -> Iterator[bytes]:
    yield answer(length=False)
    for _ in range(1_000):
        yield b"x" * 100_000


CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (answer(b"x" * 1_001), "larger than 1,000 bytes"),
        (answer(b"x" * 1_001, length=False), "larger than 1,000 bytes"),
        (answer(b"x", length=False, headers=("Content-Length: 99999999999999",)), "larger than"),
        (answer(b"3e9\r\n" + b"x" * 1_001 + b"\r\n0\r\n\r\n", length=False, headers=(CHUNKED,)), "larger than"),
        (answer(b"abc", length=False, headers=("Content-Length: 10",)), "broke off: 3 of 10"),
        (answer(b"abc", length=False, headers=("Content-Length: -10",)), "length that is none"),
        (answer(b"abc", length=False, headers=("Content-Length: 3", "Content-Length: 4")), "length that is none"),
        (answer(b"-5\r\nabc", length=False, headers=(CHUNKED,)), "does not answer as web servers do|more than it may"),
        (answer(b"zz\r\nabc", length=False, headers=(CHUNKED,)), "does not answer as web servers do"),
        (answer(b"5\r\nabc", length=False, headers=(CHUNKED,)), "does not answer as web servers do"),
        (answer(gzip.compress(b"\0" * 10**6), headers=("Content-Encoding: gzip",)), "compressed"),
        (answer(b"x", headers=("Content-Encoding: br",)), "compressed"),
        (answer(b"x", length=False, headers=("Transfer-Encoding: gzip, chunked",)), "compressed"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not answer as web servers do"),
        (b"", "does not answer as web servers do|cannot be reached"),
        (b"HTTP/1.1 abc\r\n\r\n", "does not answer as web servers do"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n", "does not answer as web servers do"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", "does not answer as web servers do"),
    ],
)  # fmt: skip
def test_answers_that_are_no_use_are_told_in_words(here: Settings, given: bytes, words: str) -> None:
    with server(lambda request: given) as port, pytest.raises(FetchFailed, match=words):
        get(f"http://127.0.0.1:{port}/")


def test_an_endless_answer_ends_at_the_limit(here: Settings) -> None:
    with server(lambda request: endless()) as port, pytest.raises(FetchFailed, match="larger than"):
        get(f"http://127.0.0.1:{port}/", max_bytes=500_000)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX-", answer(length=False)])
def test_a_slow_drip_does_not_outlast_the_time_for_all_of_it(here: Settings, start: bytes) -> None:
    """Each byte comes in time, but they would come for ever: in the headers or in the body."""
    ending = threading.Event()

    def drip() -> Iterator[bytes]:
        yield start
        while not ending.wait(0.02):
            yield b"x"

    with server(lambda request: drip()) as port:
        with pytest.raises(FetchFailed, match="too long"):
            get(f"http://127.0.0.1:{port}/", timeout=0.3)
        ending.set()


def test_nobody_at_that_port_and_a_certificate_of_nobody(here: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(FetchFailed, match="cannot be reached"):
        get(f"http://127.0.0.1:{port}/")
    with server(lambda request: b"") as port, pytest.raises(FetchFailed, match=r"cannot be reached|too long"):
        get(f"https://127.0.0.1:{port}/", timeout=2)


# Posting


def test_a_post_sends_its_body_and_follows_no_redirect(here: Settings) -> None:
    seen: list[bytes] = []

    def handler(request: bytes) -> bytes:
        seen.append(request)
        return answer(
            b"moved " + b"x" * 5_000, status="307 Temporary Redirect", headers=("Location: /other",)
        )

    headers = {
        "Content-Type": "application/json",
        "X-Signature": "abc",
        "Host": "evil",
        "content-length": "1",
    }
    with server(handler) as port:
        found = post(f"http://127.0.0.1:{port}/hook", body=b'{"a": 1}', headers=headers, timeout=10)
    assert (found.status, found.body_start[:6], len(found.body_start)) == (307, "moved ", module.BODY_START)
    [request] = seen
    assert request.startswith(b"POST /hook HTTP/1.1\r\n")
    assert request.endswith(b'\r\n\r\n{"a": 1}')
    assert b"X-Signature: abc" in request
    assert b"evil" not in request
    assert request.lower().count(b"content-length") == 1


@pytest.mark.parametrize("header", [("X", "a\r\nEvil: b"), ("X\r\nEvil", "b"), ("X Y", "b"), ("X", "ü")])
def test_headers_that_would_be_several_are_refused(here: Settings, header: tuple[str, str]) -> None:
    with pytest.raises(FetchRefused, match="header"):
        post("http://127.0.0.1/", body=b"", headers=dict([header]), timeout=5)


# Settings


def test_networks_and_ports_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.fetch_allow() == ()
    assert env.fetch_ports() == ((80, 80), (443, 443), (8000, 8999))
    monkeypatch.setenv("ANNOTATOR_FETCH_ALLOW", "10.1.0.0/16, fd12::/48")
    assert list(map(str, env.fetch_allow())) == ["10.1.0.0/16", "fd12::/48"]
    for name, wrong in (
        ("ANNOTATOR_FETCH_ALLOW", "10.1.0.1/16"),
        ("ANNOTATOR_FETCH_PORTS", "80,9-8"),
        ("ANNOTATOR_FETCH_PORTS", "http"),
    ):
        monkeypatch.setenv(name, wrong)
        assert any(name in problem for problem in env.problems())
