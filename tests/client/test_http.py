"""The client's one connection: what it repeats, what it raises."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from annotator_client import Client, Refused, Unreachable

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
