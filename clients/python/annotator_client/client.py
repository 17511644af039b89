"""The server and its projects as a program sees them."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from annotator_client.errors import ClientError, JobFailed
from annotator_client.http import Http

Json = dict[str, Any]
ENDED = frozenset({"succeeded", "failed", "cancelled"})
LOOK_EVERY = 0.5  # seconds between looks at a job


class Client:
    """A server and a person's token. Use as a context manager, or call `close`."""

    def __init__(self, url: str, token: str, **options: Any) -> None:
        self.url = url.rstrip("/")
        self.http = Http(self.url, token, **options)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.http.client.close()

    def me(self) -> Json:
        """Who the token speaks for."""
        found: Json = self.http.json("GET", "me/")
        return found

    def projects(self) -> Iterator[Json]:
        """Projects that the token's owner may see, newest first."""
        return pages(self.http, "projects/")

    def create_project(self, **values: Any) -> Project:
        """A new project; `name`, `modality`, `task` and `classes` as in the API."""
        made = self.http.json("POST", "projects/", json=values, headers=fresh_key())
        return self.project(made["id"])

    def project(self, project_id: int) -> Project:
        return Project(self.http, project_id)


class Project:
    """One project. `holder` is this program's name to the queue: what it claimed stays its own until it is answered."""

    def __init__(self, http: Http, project_id: int) -> None:
        self.http, self.id, self.holder = http, project_id, str(uuid.uuid4())
        self.path = f"projects/{project_id}/"

    def get(self, path: str = "", **params: Any) -> Any:
        return self.http.json("GET", self.path + path, params=params)

    def post(self, path: str, body: Any = None) -> Any:
        return self.http.json("POST", self.path + path, json=body, headers=fresh_key())

    def classes(self) -> list[Json]:
        """The classes that can be chosen now."""
        return [each for each in self.get("schema/")["classes"] if each.get("active", True)]

    def import_files(self, paths: Iterable[str | Path], options: Json | None = None) -> Json:
        """Send files of one kind; returns the job that reads them (see `wait`)."""
        with ExitStack() as stack:
            files = [
                ("files", (Path(path).name, stack.enter_context(Path(path).open("rb")))) for path in paths
            ]
            data = {"options": json.dumps(options)} if options else {}
            made = self.http.json("POST", f"{self.path}imports/", files=files, data=data, headers=fresh_key())
        job: Json = made["job"]
        return job

    def add_items(self, items: Sequence[Json]) -> Json:
        """Up to 1,000 texts at once: {"text", "external_id"?, "split"?, "labels"?, "meta"?}."""
        found: Json = self.post("imports/", {"items": list(items)})
        return found

    def job(self, job_id: int) -> Json:
        found: Json = self.get(f"jobs/{job_id}/")
        return found

    def wait(
        self, job: Json, *, seen: Callable[[Json], None] = lambda job: None, every: float = LOOK_EVERY
    ) -> Json:
        """The job once it has succeeded; JobFailed else. `seen` is given each state on the way."""
        while job["state"] not in ENDED:
            seen(job)
            time.sleep(every)
            job = self.job(job["id"])
        seen(job)
        if job["state"] != "succeeded":
            raise JobFailed(job.get("error") or f"The job was {job['state']}.", job=job)
        return job

    def next(self, count: int = 1) -> list[Json]:
        """Claim up to `count` items (what is claimed and unanswered counts); empty when there is nothing to do."""
        return list(self.look(count)["leases"])

    def look(self, count: int = 1) -> Json:
        """As `next`, with `nothing`: why there is no item, when there is none."""
        found: Json = self.post("next/", {"holder": self.holder, "count": count})
        return found

    def label(
        self,
        lease: Json | int,
        classes: Sequence[str],
        *,
        seconds: float | None = None,
        version: int | None = None,
    ) -> Json:
        """Answer an item that was claimed (or answer it anew) with class keys."""
        item = lease if isinstance(lease, int) else lease["item"]["id"]
        body = {
            "id": str(uuid.uuid4()),
            "item": item,
            "schema_version": version or self.get("schema/")["version"],
            "regions": [{"kind": "choice", "classes": list(classes)}],
            "seconds": seconds,
        }
        found: Json = self.post("annotations/", body)
        return found

    def skip(self, lease: Json | int, reason: str = "") -> Json:
        item = lease if isinstance(lease, int) else lease["item"]["id"]
        found: Json = self.post("skips/", {"id": str(uuid.uuid4()), "item": item, "reason": reason})
        return found

    def release(self, leases: Iterable[Json]) -> None:
        """Give claims back at once."""
        self.post("leases/release/", {"tokens": [lease["token"] for lease in leases]})

    def export(self, body: Json) -> Json:
        """Ask for an export ({"format", "filters"?, "splits"?, "snapshot"?}); returns it with its job (see `wait`)."""
        found: Json = self.post("exports/", body)
        return found

    def download(self, path: str, to: Path, *, digest: str = "") -> Path:
        """Save a file below the project's path; goes on where an earlier attempt ended. ClientError if it is damaged."""
        part, tag = to.with_name(f"{to.name}.part"), to.with_name(f"{to.name}.part.etag")
        to.parent.mkdir(parents=True, exist_ok=True)
        while True:
            known = tag.read_text() if tag.exists() else ""
            have = part.stat().st_size if known and part.exists() else 0
            # Another file of the same name is sent whole, and not put behind the beginning of this one.
            headers = {"Range": f"bytes={have}-", "If-Range": known} if have else {}
            try:
                with self.http.client.stream("GET", self.path + path, headers=headers) as response:
                    if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                        break
                    if response.status_code not in (200, 206):
                        response.read()
                        self.http.call("GET", self.path + path)  # raises with the server's words
                        continue
                    _save(response, part, tag)
                break
            except httpx.TransportError as error:
                if part.exists() and part.stat().st_size > have:
                    continue
                raise ClientError(f"The download of {path} broke off: {error}.") from error
        tag.unlink(missing_ok=True)
        if digest and _sha256(part) != digest:
            part.unlink()
            raise ClientError(f"{to.name} arrived damaged.", hint="Download it again.")
        part.replace(to)
        return to


def _save(response: httpx.Response, part: Path, tag: Path) -> None:
    """Write what comes: behind what is there where the server goes on, else from the beginning."""
    goes_on = response.status_code == httpx.codes.PARTIAL_CONTENT
    if not goes_on:
        part.unlink(missing_ok=True)
        tag.write_text(response.headers.get("ETag", ""))
    with part.open("ab") as file:
        for chunk in response.iter_bytes():
            file.write(chunk)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def pages(http: Http, path: str, **params: Any) -> Iterator[Json]:
    """All rows of a list, page by page."""
    after: Any = None
    while True:
        found = http.json("GET", path, params=params | ({} if after is None else {"after": after}))
        yield from found["results"]
        after = found["next_after"]
        if after is None:
            return


def fresh_key() -> dict[str, str]:
    """A header by which the server knows a request again that it has done already."""
    return {"Idempotency-Key": str(uuid.uuid4())}
