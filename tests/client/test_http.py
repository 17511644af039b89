"""The client's one connection: what it repeats, what it raises."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from annotator_client import Client, ClientError, Refused, Unreachable

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, waits: list[float] | None = None) -> Client:
    sleep = (waits if waits is not None else []).append
    return Client("http://server.test/", "ann_x", transport=httpx.MockTransport(handler), sleep=sleep)


def answers(*responses: httpx.Response | Exception) -> tuple[Handler, list[httpx.Request]]:
    """A server that gives these answers one after another, and the requests it got."""
    coming, seen = iter(responses), list[httpx.Request]()

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = next(coming)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle, seen


def test_a_call_carries_the_token_to_the_versioned_address() -> None:
    handle, seen = answers(httpx.Response(200, json={"username": "ann"}))
    assert client(handle).me() == {"username": "ann"}
    assert str(seen[0].url) == "http://server.test/api/v1/me/"
    assert seen[0].headers["Authorization"] == "Bearer ann_x"


def test_what_fails_for_a_moment_is_repeated_with_the_same_key() -> None:
    waits: list[float] = []
    handle, seen = answers(
        httpx.ConnectError("refused"),
        httpx.Response(503),
        httpx.Response(429, headers={"Retry-After": "4"}),
        httpx.Response(201, json={"id": 7}),
    )
    made = client(handle, waits).create_project(name="Pets")
    assert made.id == 7
    assert waits == [0.5, 1.0, 4.0]
    assert len({request.headers["Idempotency-Key"] for request in seen}) == 1


def test_it_gives_up_after_half_a_minute() -> None:
    waits: list[float] = []

    def handle(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(Unreachable, match="refused"):
        client(handle, waits).me()
    assert 15 < sum(waits) <= 30


def test_a_refusal_keeps_the_servers_words_and_is_not_repeated() -> None:
    problem = {"title": "Some fields are not valid.", "code": "invalid", "errors": {"name": ["Too long."]}}
    handle, seen = answers(httpx.Response(400, json=problem))
    with pytest.raises(Refused, match=r"Some fields are not valid\. name: \['Too long\.'\]") as caught:
        client(handle).create_project(name="x" * 1000)
    assert (caught.value.status, caught.value.code, len(seen)) == (400, "invalid", 1)


def test_a_page_of_somebody_else_is_refused_in_words() -> None:
    handle, _ = answers(httpx.Response(500, text="<h1>Oops</h1>"))
    with pytest.raises(Refused, match="status 500"):
        client(handle).me()
    handle, _ = answers(httpx.Response(301, headers={"Location": "https://server.test/api/v1/me/"}))
    with pytest.raises(Refused, match="use that address"):
        client(handle).me()


def test_lists_are_read_to_their_end() -> None:
    handle, seen = answers(
        httpx.Response(200, json={"results": [{"id": 3}, {"id": 2}], "next_after": 2}),
        httpx.Response(200, json={"results": [{"id": 1}], "next_after": None}),
    )
    assert [row["id"] for row in client(handle).projects()] == [3, 2, 1]
    assert seen[1].url.params["after"] == "2"


def test_a_download_goes_on_behind_the_same_file_only(tmp_path: Path) -> None:
    to = tmp_path / "a.zip"
    (tmp_path / "a.zip.part").write_bytes(b"old ")
    (tmp_path / "a.zip.part.etag").write_text('"old"')
    handle, seen = answers(httpx.Response(200, content=b"new file", headers={"ETag": '"new"'}))
    project = client(handle).project(3)
    digest = hashlib.sha256(b"new file").hexdigest()
    assert project.download("exports/1/download/", to, digest=digest).read_bytes() == b"new file"
    assert (seen[0].headers["Range"], seen[0].headers["If-Range"]) == ("bytes=4-", '"old"')
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_download_whose_refusal_is_over_when_asked_again_is_begun_again(tmp_path: Path) -> None:
    handle, _ = answers(
        httpx.Response(503),
        httpx.Response(200, json={"not": "the file"}),
        httpx.Response(200, content=b"file"),
    )
    to = client(handle).project(3).download("exports/1/download/", tmp_path / "a.zip")
    assert to.read_bytes() == b"file"


def test_a_damaged_download_is_thrown_away(tmp_path: Path) -> None:
    handle, _ = answers(httpx.Response(200, content=b"fi"))
    with pytest.raises(ClientError, match="damaged"):
        client(handle).project(3).download("x/", tmp_path / "a.zip", digest="0" * 64)
    assert list(tmp_path.iterdir()) == []
