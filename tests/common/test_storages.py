"""Storages that the administrator named: signatures, pages of objects, answers that are no use."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from pytest_django.fixtures import Settings

from annotator import env
from annotator.common import storages
from annotator.common.errors import NotFound
from annotator.common.fetch import FetchFailed
from annotator.common.signing import signed_headers
from tests.common.servers import Handler, answer, server


def test_the_signature_is_the_one_of_the_published_example() -> None:
    """Amazon S3 API reference, "Signature calculations: examples", GET bucket (list objects)."""
    headers = signed_headers(
        host="examplebucket.s3.amazonaws.com",
        path="/",
        query={"max-keys": "2", "prefix": "J"},
        access_key="AKIAIOSFODNN7EXAMPLE",
        secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        region="us-east-1",
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
        "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


def bucket(objects: dict[str, bytes], *, page: int = 2) -> Handler:
    """A storage with one bucket, photos; pages of two objects."""

    def handler(request: bytes) -> bytes:
        head = request.decode().splitlines()
        assert any(line.startswith("Authorization: AWS4-HMAC-SHA256 Credential=key/") for line in head)
        parts = urlsplit(head[0].split(" ")[1])
        path = unquote(parts.path)
        if path != "/photos":
            found = objects.get(path.removeprefix("/photos/"))
            return answer(status="404 Not Found") if found is None else answer(found)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        keys = sorted(key for key in objects if key.startswith(query.get("prefix", "")))
        first = int(query.get("continuation-token", 0))
        shown, more = keys[first : first + page], len(keys) > first + page
        token = f"<NextContinuationToken>{first + page}</NextContinuationToken>" if more else ""
        contents = "".join(
            f"<Contents><Key>{key.replace(' ', '+')}</Key><Size>{len(objects[key])}</Size></Contents>"
            for key in shown
        )
        return answer(
            f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{contents}'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}</ListBucketResult>".encode()
        )

    return handler


def at(port: int, prefix: str = "") -> dict[str, dict[str, str]]:
    """The setting that names the local storage."""
    return {
        "ours": {
            "endpoint": f"http://127.0.0.1:{port}",
            "bucket": "photos",
            "prefix": prefix,
            "access_key": "key",
            "secret_key": "secret",
            "region": "eu",
        }
    }


def test_all_pages_are_listed_and_keys_begin_behind_the_prefix(settings: Settings) -> None:
    objects = {f"team/{n} x.png": bytes(n) for n in range(5)} | {"team/": b"", "other/9.png": b"9"}
    with server(bucket(objects)) as port:
        settings.IMPORT_STORAGES = at(port, "team/")
        found = storages.storage("ours")
        assert [(each.key, each.size) for each in storages.list_objects(found, "")] == [
            (f"{n} x.png", n) for n in range(5)
        ]
        assert [each.key for each in storages.list_objects(found, "3")] == ["3 x.png"]
        into = io.BytesIO()
        storages.get_object(found, "4 x.png", max_bytes=10, timeout=5, into=into)
        assert into.getvalue() == bytes(4)
        with pytest.raises(FetchFailed, match="no object"):
            storages.get_object(found, "none.png", max_bytes=10, timeout=5, into=io.BytesIO())
        with pytest.raises(FetchFailed, match="larger than"):
            storages.get_object(found, "4 x.png", max_bytes=3, timeout=5, into=io.BytesIO())


@pytest.mark.parametrize(
    "given",
    [
        answer(b"<html>"),
        answer(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        answer(status="403 Forbidden"),
        answer(status="301 Moved", headers=("Location: http://169.254.169.254/",)),
        answer(b"<L><Contents><Key>a</Key><Size>x</Size></Contents></L>"),
        b"",
    ],
)
def test_a_storage_that_does_not_answer_as_s3_does_is_told(settings: Settings, given: bytes) -> None:
    with server(lambda request: given) as port:
        settings.IMPORT_STORAGES = at(port)
        with pytest.raises(FetchFailed):
            list(storages.list_objects(storages.storage("ours"), ""))


def test_nobody_chooses_a_storage_that_nobody_named(settings: Settings) -> None:
    settings.IMPORT_STORAGES = {}
    with pytest.raises(NotFound):
        storages.storage("ours")


GOOD = '{"ours": {"endpoint": "https://s3.example.org", "bucket": "photos"}}'


def test_storages_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNOTATOR_STORAGES", GOOD)
    assert env.storages()["ours"]["region"] == "us-east-1"
    assert not [each for each in env.problems() if "STORAGES" in each]
    for wrong in (
        "{",
        "[]",
        GOOD.replace("ours", "o/s"),
        GOOD.replace("https", "file"),
        GOOD.replace("photos", ""),
        GOOD.replace('"photos"', "1"),
        GOOD.replace("bucket", "buckets"),
        GOOD.replace('"photos"', '"photos", "access_key": "a"'),
    ):
        monkeypatch.setenv("ANNOTATOR_STORAGES", wrong)
        [problem] = [each for each in env.problems() if "STORAGES" in each]
        assert "secret" not in problem or "secret_key" in problem
