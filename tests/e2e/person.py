"""What a person does and sees, in the words of the tests, and projects for them to work on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.cache import SessionStore
from django.urls import reverse
from playwright.sync_api import Locator, Page, Response, WebSocketRoute, expect

from annotator.accounts.models import User
from annotator.items.models import Item
from annotator.labeling import queue
from annotator.labeling.models import Annotation
from annotator.projects.models import Project
from tests.factories import make_items, make_project
from tests.items.makers import add_image
from tests.modalities.images import image_bytes

PASSWORD = "correct horse battery"  # of everybody that the factories make
COLOURS = ((200, 30, 30), (30, 160, 60), (40, 60, 200), (230, 200, 40))


@dataclass
class Person:
    """A page and who sits before it. `expected` are parts of console messages that the test provokes."""

    page: Page
    base: str
    user: User | None
    problems: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    sockets: list[WebSocketRoute] = field(default_factory=list)
    session: SessionStore | None = None

    def unexpected(self) -> list[str]:
        return [text for text in self.problems if not any(part in text for part in self.expected)]

    def sign_in(self) -> None:
        """A session without the form, which one test of its own goes through."""
        assert self.user is not None
        self.session = SessionStore()
        self.session[SESSION_KEY] = str(self.user.pk)
        self.session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        self.session[HASH_SESSION_KEY] = self.user.get_session_auth_hash()
        self.session.create()
        key = str(self.session.session_key)
        self.page.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": self.base, "httpOnly": True}]
        )

    def open(self, name: str, *arguments: object, query: str = "") -> Page:
        self.page.goto(reverse(name, args=list(arguments)) + query)
        return self.page

    def label(self, project: Project) -> None:
        """Open the annotate screen and wait for the first item, or for the words that say why there is none."""
        self.open("workspace:annotate", project.pk)
        expect(self.page.locator("#stage")).to_have_attribute("aria-busy", "false")

    def label_ahead(self, project: Project) -> None:
        """Open the annotate screen and wait until the next two items lie ready as well."""
        asked: list[Response] = []

        def third(response: Response) -> bool:
            asked.extend([response] if response.url.endswith("/next/") else [])
            return len(asked) == 3

        with self.page.expect_response(third) as last:
            self.label(project)
        last.value.finished()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what only the database shows."""
        for _ in range(1000):
            if condition():
                return
            self.page.wait_for_timeout(20)
        raise AssertionError("This did not come to pass.")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def text(self) -> Locator:
        return self.page.locator(".canvas-text__body")

    @property
    def stage(self) -> Locator:
        return self.page.locator("#stage")

    @property
    def saved(self) -> Locator:
        return self.page.locator("#save-state")

    @property
    def banner(self) -> Locator:
        return self.page.locator("#banner")

    def choice(self, name: str) -> Locator:
        return self.page.locator("label.choice", has_text=name).locator("input")

    def answers(self) -> list[tuple[str, list[str]]]:
        """What counts in the database of this person: (external id, classes), oldest first."""
        rows = Annotation.objects.valid().filter(annotator=self.user).order_by("created_at")
        return [(row.item.external_id, row.regions[0]["classes"]) for row in rows.select_related("item")]

    def cut_off(self) -> None:
        """The server cannot be reached any more."""
        self.expected.append("net::ERR_FAILED")
        self.page.route("**/api/**", lambda route: route.abort())

    def reconnect(self) -> None:
        """The way is free again and the browser says so, as it does when a cable is plugged in."""
        self.page.unroute("**/api/**")
        self.page.evaluate("dispatchEvent(new Event('online'))")

    def hear(self, event: dict[str, Any]) -> None:
        """A live event arrives."""
        self.sockets[-1].send(json.dumps(event))

    def picture(self, name: str) -> bytes:
        """A screenshot, kept in the folder SCREENSHOTS if that is set."""
        data = self.page.screenshot()
        if folder := os.environ.get("SCREENSHOTS"):
            (Path(folder) / f"{name}.png").write_bytes(data)
        return data


def serve(project: Project, items: list[Item], **candidate: Any) -> None:
    """Publish `items` in this order, as a round would."""
    served = {
        "round": 3, "rank": 0, "utility": 0.42, "propensity": 0.05, "exploration": False, "seed": 1, "model": 2,
        "strategy": {"key": "margin", "version": 1, "params": {}},
        "reason": {"text": "The model hesitates between Cat and Dog."},
    }  # fmt: skip
    candidates = [
        queue.Candidate(item.pk, served | {"rank": rank}, candidate.get("suggestion"))
        for rank, item in enumerate(items)
    ]
    queue.publish(project_id=project.pk, candidates=candidates)


def text_project(count: int = 8, *, suggestion: dict[str, Any] | None = None, **fields: Any) -> Project:
    """A project whose queue holds text-0, text-1, … in this order."""
    project = make_project(**fields)
    serve(project, make_items(project, count), suggestion=suggestion)
    return project


def image_project(*, suggestion: dict[str, Any] | None = None, **fields: Any) -> Project:
    """A project with a small picture for each of COLOURS, served in this order."""
    project = make_project(modality="image", **fields)
    items = [
        add_image(project, image_bytes((24, 16), colour=colour), external_id=f"{n}.png")
        for n, colour in enumerate(COLOURS)
    ]
    serve(project, items, suggestion=suggestion)
    return project
