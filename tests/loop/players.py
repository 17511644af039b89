"""People of the loop tests: an owner who sets up a project, annotators who label it, all over HTTP."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
from django.db import connection

from annotator.accounts.models import User
from annotator.accounts.services import create_token
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.labeling.models import Annotation, ItemLease, QueueEntry
from annotator.learning.models import Round
from annotator.projects.models import Membership, Project, Role
from tests.loop.application import PATIENCE, Application
from tests.supervisor.helpers import eventually

TOPICS = {
    "animals": "cat dog horse sheep otter badger falcon heron trout salmon",
    "kitchen": "pan kettle spoon oven ladle whisk bowl grater sieve teapot",
    "weather": "rain storm thunder drizzle frost breeze hail sunshine fog sleet",
}
FILLER = "the a near some very old new small bright under over with and then again while it was".split()  # noqa: SIM905 - easier to read


@dataclass
class Person:
    """Somebody with a token and a connection."""

    app: Application
    project_id: int
    token: str
    user_id: int
    holder: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        self.client = httpx.Client(
            base_url=f"{self.app.url}/api/v1/", headers={"Authorization": f"Bearer {self.token}"}, timeout=60
        )
        self.app.clients.callback(self.client.close)

    def call(self, method: str, path: str, body: Any = None, *, expect: int | None = None) -> Any:
        response = self.client.request(method, f"projects/{self.project_id}/{path}", json=body)
        wanted = (expect,) if expect else (200, 201, 202, 204)
        assert response.status_code in wanted, (
            f"{method} {path}: {response.status_code} {response.text[:500]}\n{self.app.log_end()}"
        )
        return response.json() if response.content else None

    def hold(self, count: int = 1) -> list[dict[str, Any]]:
        """The leases in this person's hands, topped up to `count`."""
        leases: list[dict[str, Any]] = self.call("POST", "next/", {"holder": self.holder, "count": count})[
            "leases"
        ]
        return leases

    def answer(self, lease: dict[str, Any], *, answer_id: str = "", expect: int = 201) -> str:
        """Answer truly; returns the answer's id."""
        answer_id = answer_id or str(uuid.uuid4())
        self.call("POST", "annotations/", answer_body(lease, answer_id), expect=expect)
        return answer_id

    def label(self, count: int) -> list[str]:
        """Answer `count` items, one after another."""
        return [self.answer(self.hold(1)[0]) for _ in range(count)]


def name_of(lease: dict[str, Any]) -> str:
    """The item's external id, which annotators are not told."""
    assert lease["item"]["external_id"] == ""
    name = str(Item.objects.values_list("external_id", flat=True).get(pk=lease["item"]["id"]))
    if threading.current_thread() is not threading.main_thread():
        connection.close()  # nobody else would, when this thread ends
    return name


def answer_body(lease: dict[str, Any], answer_id: str) -> dict[str, Any]:
    topic = name_of(lease).split("-")[0]
    return {
        "id": answer_id,
        "item": lease["item"]["id"],
        "schema_version": 1,
        "regions": [{"kind": "choice", "classes": [topic]}],
    }


def make_person(app: Application, project_id: int = 0, *, administrator: bool = False) -> Person:
    user = User.objects.create_user(username=f"loop-{uuid.uuid4().hex[:12]}", is_superuser=administrator)
    if project_id and not administrator:
        Membership.objects.create(project_id=project_id, user=user, role=Role.ANNOTATOR)
    _, token = create_token(user=user, name="loop")
    return Person(app, project_id, token, user.pk)


@dataclass
class World:
    """A project with a ranking, its owner and two annotators."""

    app: Application
    owner: Person
    ann: Person
    ben: Person

    @property
    def project_id(self) -> int:
        return self.owner.project_id

    @property
    def project(self) -> Project:
        return Project.objects.get(pk=self.project_id)

    def rounds(self) -> list[Round]:
        """Rounds, newest first."""
        return list(Round.objects.filter(project_id=self.project_id).order_by("-number"))

    def until(self, condition: Callable[[], object]) -> None:
        """As `until`, but a failure tells what the application did instead."""
        try:
            until(condition)
        except AssertionError as error:
            rounds = Round.objects.filter(project_id=self.project_id).values_list(
                "number", "state", "step", "trigger", "n_labels", "error", "health"
            )
            jobs = Job.objects.filter(project_id=self.project_id).values_list(
                "kind", "state", "stage", "attempts", "error"
            )
            raise AssertionError(f"{error}\nrounds: {list(rounds)}\njobs: {list(jobs)}") from error

    def settled(self, items: int) -> bool:
        """Whether all items are ranked by their features and no more work waits."""
        if Job.objects.filter(project_id=self.project_id).active().exists():
            return False
        latest = self.rounds()[0]
        return latest.state == Round.State.PUBLISHED and latest.health.get("scored") == items

    def label_until_round(self, person: Person) -> list[str]:
        """Answer until a round begins; for rounds that are held."""
        sent = []
        while not Round.objects.filter(project_id=self.project_id, state=Round.State.ACTIVE).exists():
            sent += person.label(1)
        return sent

    def wait_for_round(self, *, after: int, labels: int = 0) -> Round:
        """The newest round above number `after`, once it is published and knows so many labels."""

        def published() -> bool:
            found = Round.objects.filter(project_id=self.project_id, number__gt=after, n_labels__gte=labels)
            return found.exclude(training_digest="").filter(state=Round.State.PUBLISHED).exists()

        self.until(published)
        return Round.objects.filter(project_id=self.project_id, state=Round.State.PUBLISHED).latest("number")

    def queue(self) -> list[QueueEntry]:
        entries = QueueEntry.objects.filter(
            project_id=self.project_id, position__gte=self.project.queue_start
        ).select_related("item")
        return list(entries.order_by("position"))

    def check_books(self, sent: Iterable[str]) -> None:
        """Nothing lost, nothing doubled: answers, queue and leases agree with each other and with what was sent."""
        answers = list(Annotation.objects.filter(project_id=self.project_id, current=True))
        assert {str(answer.pk) for answer in answers} == set(sent)
        assert Annotation.objects.filter(project_id=self.project_id).count() == len(answers)
        answered = {answer.item_id for answer in answers}
        assert len(answered) == len(answers)
        leased = set(
            ItemLease.objects.filter(project_id=self.project_id, returned_at=None).values_list(
                "item_id", flat=True
            )
        )
        assert not leased & answered
        entries = self.queue()
        for entry in entries:
            taken = (entry.item_id in answered) + (entry.item_id in leased)
            assert entry.free == 1 - taken, entry.item.external_id
        open_items = {entry.item_id for entry in entries if entry.free}
        everything = set(self.project.items.filter(split="pool").values_list("pk", flat=True))
        assert open_items == everything - answered - leased


def make_texts(count: int, *, seed: int = 0, split: str = "pool") -> list[dict[str, Any]]:
    """Short texts about three topics, some of them hard to tell; the id says the topic."""
    rng = random.Random(f"{seed} {split}")
    texts = []
    for number in range(count):
        topic = list(TOPICS)[number % len(TOPICS)]
        words = rng.sample(TOPICS[topic].split(), 2) + rng.sample(FILLER, 6)
        if rng.random() < 0.3:
            words += rng.sample(TOPICS[rng.choice(list(TOPICS))].split(), 2)
        rng.shuffle(words)
        text = f"{' '.join(words)} {split} {number}"
        texts.append({"text": text, "external_id": f"{topic}-{split}-{number}", "split": split})
    return texts


def make_world(
    app: Application, *, items: int = 120, test: int = 0, name: str = "", **learning: Any
) -> World:
    """A text project made over the API, waited for until the worker has ranked it."""
    owner = make_person(app, administrator=True)
    made = owner.client.post(
        "projects/",
        json={
            "name": name or f"Loop {uuid.uuid4().hex[:8]}",
            "modality": "text",
            "task": "single",
            "classes": [{"key": topic, "name": topic} for topic in TOPICS],
        },
    )
    assert made.status_code == 201, made.text
    owner.project_id = made.json()["id"]
    settings = {
        "encoder": "tfidf",
        "preset": "",
        "randomness": 0.0,
        "retrain_labels": 12,
        "batch_size": 5,
    } | learning
    owner.call("PATCH", "learning/", settings)
    texts = make_texts(items) + make_texts(test, split="test")
    owner.call("POST", "imports/", {"items": texts})
    world = World(app, owner, make_person(app, owner.project_id), make_person(app, owner.project_id))
    world.until(lambda: world.settled(items))
    return world


def until(condition: Callable[[], object]) -> None:
    eventually(condition, seconds=PATIENCE)
