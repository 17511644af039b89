"""The annotate screen's API as programs and browsers use it: idempotent, guarded, cheap, honest."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotator.accounts.models import User
from annotator.jobs.models import Job
from annotator.labeling import queue
from annotator.labeling.models import Annotation, Draft, ItemLease, QueueEntry, Skip
from annotator.learning import window
from annotator.learning.models import LearningSettings, Round
from annotator.projects.models import Project, Role
from tests.factories import choice, join, make_items, make_project
from tests.items.makers import add_image
from tests.learning.world import answer_truly, items_of, run_round
from tests.learning.world import make_world as make_learning_world
from tests.workspace.world import token_of

pytestmark = pytest.mark.django_db

HOLDER = str(uuid.uuid4())


@pytest.fixture
def project() -> Project:
    project = make_project()
    items = make_items(project, 6)
    candidates = [
        queue.Candidate(item.pk, {"rank": rank, "round": 1}, {"model": 1, "classes": {"dog": 0.8}})
        for rank, item in enumerate(items)
    ]
    queue.publish(project_id=project.pk, candidates=candidates)
    return project


@pytest.fixture
def user(project: Project) -> User:
    return join(project)


class Api:
    """Calls as one person; `headers` carry a token, else it is a session."""

    def __init__(
        self, project: Project, user: User, *, headers: dict[str, str] | None = None, **options: Any
    ) -> None:
        self.project, self.headers = project, headers
        self.client = Client(**options)
        if headers is None:
            self.client.force_login(user)

    def __call__(self, name: str, body: Any = None, *, method: str = "post", **arguments: Any) -> Any:
        url = reverse(f"api:{name}", kwargs={"project_id": self.project.pk, **arguments})
        return getattr(self.client, method)(
            url,
            json.dumps(body) if body is not None else None,
            content_type="application/json",
            headers=self.headers,
        )

    def next(self, count: int = 1, holder: str = HOLDER, **more: Any) -> list[dict[str, Any]]:
        answer = self("next", {"holder": holder, "count": count, **more})
        assert answer.status_code == 200
        leases: list[dict[str, Any]] = answer.json()["leases"]
        return leases

    def submit(self, item: int, *classes: str, key: str | None = None, **more: Any) -> Any:
        body = {
            "id": key or str(uuid.uuid4()),
            "item": item,
            "schema_version": 1,
            "regions": choice(*classes),
        }
        return self("annotations", body | more)


@pytest.fixture(params=["session", "token"])
def api(request: pytest.FixtureRequest, project: Project, user: User) -> Api:
    """Everything below holds for browsers and for programs."""
    return Api(project, user, headers=token_of(user) if request.param == "token" else None)


def held(api: Api) -> int:
    """An item in the person's hands."""
    item: int = api.next()[0]["item"]["id"]
    return item


def test_next_hands_out_the_head_of_the_queue_with_all_that_a_screen_shows(api: Api) -> None:
    [lease] = api.next()
    assert lease["item"]["text"] == "This is text number 0."
    assert lease["suggestion"] == {"model": 1, "classes": {"dog": 0.8}}
    assert lease["why"]["headline"]
    assert (lease["why"]["rank"], lease["served"]["round"], lease["draft"]) == (0, 1, None)


def test_asking_again_gives_the_same_and_asking_for_more_tops_up(api: Api) -> None:
    first = api.next()
    assert [lease["token"] for lease in api.next()] == [first[0]["token"]]
    more = api.next(3)
    assert [lease["item"]["text"] for lease in more] == [f"This is text number {n}." for n in range(3)]


def test_names_of_items_are_for_those_who_may_see_labels(project: Project, api: Api) -> None:
    """They may hold the answer, as in 'cat/1.png'."""
    assert api.next()[0]["item"]["external_id"] == ""
    reviewer = Api(project, join(project, Role.REVIEWER))
    assert reviewer.next()[0]["item"]["external_id"] == "text-1"


def test_a_reloaded_page_keeps_its_items_whatever_its_predecessor_releases_late(api: Api) -> None:
    [before] = api.next()
    [after] = api.next(fresh=True)
    assert after["item"] == before["item"]
    assert api("release", {"tokens": [before["token"]]}).status_code == 204
    assert [lease["token"] for lease in api.next()] == [after["token"]]


@pytest.mark.parametrize("count", [0, 9, -1])
def test_a_tab_holds_at_most_eight_items(api: Api, count: int) -> None:
    assert api("next", {"holder": HOLDER, "count": count}).status_code == 400


def test_pictures_come_as_an_address(user: User) -> None:
    project = make_project(modality="image")
    item = add_image(project)
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, {})])
    [lease] = Api(project, join(project)).next()
    assert lease["item"]["url"] == reverse("items:asset", args=[project.pk, item.asset_id])
    assert "text" not in lease["item"]


def test_an_answer_is_stored_once_however_often_it_is_sent(api: Api, user: User) -> None:
    item, key = held(api), str(uuid.uuid4())
    first, second = (api.submit(item, "cat", key=key, seconds=1.5) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.json()["revision"] == 1
    assert Annotation.objects.get().seconds == 1.5


def test_an_id_is_not_used_for_two_things(api: Api) -> None:
    item, key = held(api), str(uuid.uuid4())
    api.submit(item, "cat", key=key)
    again = api.submit(held(api), "cat", key=key)
    assert (again.status_code, again.json()["code"]) == (409, "id_reused")


def test_somebody_elses_id_tells_nothing_about_their_answer(api: Api, project: Project) -> None:
    key = str(uuid.uuid4())
    api.submit(held(api), "cat", key=key)
    other = Api(project, join(project))
    stolen = other.submit(held(other), "dog", key=key)
    assert (stolen.status_code, stolen.json()["code"]) == (409, "id_reused")
    assert "regions" not in stolen.json()


def test_an_item_that_was_not_handed_out_cannot_be_answered(api: Api, project: Project) -> None:
    answer = api.submit(project.items.first().pk, "cat")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_lease")
    assert answer.json()["detail"] == "Ask for the next item."


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"regions": choice("bird")}, "invalid_regions"),
        ({"regions": []}, "invalid_regions"),
        ({"schema_version": 9}, "unknown_schema"),
    ],
)
def test_answers_outside_the_schema_are_refused_and_the_item_stays(
    api: Api, fields: dict[str, Any], code: str
) -> None:
    item = held(api)
    answer = api.submit(item, "cat", **fields)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert held(api) == item


def test_taking_back_is_harmless_to_repeat_and_brings_the_item_back(api: Api) -> None:
    item = held(api)
    api.submit(item, "cat")
    body = {"id": str(uuid.uuid4()), "item": item, "holder": HOLDER}
    first, second = api("withdraw", body), api("withdraw", body)
    assert first.json() == second.json()
    assert (first.json()["state"], first.json()["revision"]) == ("withdrawn", 2)
    [lease] = api.next()
    assert (lease["item"]["id"], lease["draft"]) == (item, choice("cat"))


def test_a_skip_is_stored_once_and_can_be_taken_back(api: Api) -> None:
    item, key = held(api), str(uuid.uuid4())
    for _ in range(2):
        assert api("skips", {"id": key, "item": item, "reason": "blurred"}).status_code == 201
    assert Skip.objects.get().reason == "blurred"
    assert held(api) != item
    for _ in range(2):
        assert api("withdraw_skip", {"holder": HOLDER}, skip_id=key).status_code == 200
    assert item in [lease["item"]["id"] for lease in api.next(2)]


def test_a_draft_is_kept_until_the_answer(api: Api) -> None:
    item = held(api)
    assert api("draft", {"regions": choice("dog")}, method="put", item_id=item).status_code == 204
    assert api.next()[0]["draft"] == choice("dog")
    api.submit(item, "cat")
    assert not Draft.objects.exists()


def test_claims_are_renewed_and_released_by_their_tokens(api: Api) -> None:
    [lease] = api.next()
    unknown = str(uuid.uuid4())
    assert api("renew", {"tokens": [lease["token"], unknown]}).json() == {"tokens": [lease["token"]]}
    assert api("release", {"tokens": [lease["token"], unknown]}).status_code == 204
    assert not ItemLease.objects.exists()
    assert api("renew", {"tokens": [lease["token"]]}).json() == {"tokens": []}


def test_recent_work_is_newest_first_and_ones_own(api: Api, project: Project) -> None:
    other = Api(project, join(project))
    other.submit(held(other), "dog")
    first = held(api)
    api.submit(first, "cat")
    second = held(api)
    api("skips", {"id": str(uuid.uuid4()), "item": second})
    rows = api("recent", method="get").json()
    assert [(row["kind"], row["item_id"]) for row in rows] == [("skip", second), ("annotation", first)]


def test_a_session_needs_the_csrf_token_and_a_program_does_not(project: Project, user: User) -> None:
    browser = Api(project, user, enforce_csrf_checks=True)
    refused = browser("next", {"holder": HOLDER})
    assert refused.status_code == 403
    program = Api(project, user, headers=token_of(user), enforce_csrf_checks=True)
    assert program.next()


def test_a_reading_token_reads_only(project: Project, user: User) -> None:
    reader = Api(project, user, headers=token_of(user, "read"))
    assert reader("recent", method="get").status_code == 200
    assert reader("next", {"holder": HOLDER}).status_code == 403
    assert not ItemLease.objects.exists()


def test_errors_are_problem_documents(api: Api) -> None:
    answer = api("withdraw", {"id": str(uuid.uuid4()), "item": 1, "holder": HOLDER})
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:annotator:nothing_to_undo",
        "title": "There is no answer of yours to take back here.",
        "status": 404,
        "code": "nothing_to_undo",
    }


def test_a_body_with_wrong_fields_names_each_of_them(api: Api) -> None:
    answer = api("annotations", {"id": "x", "item": "y"})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"id", "item", "schema_version", "regions"}


# Why there is nothing


def nothing(api: Api) -> str:
    answer = api("next", {"holder": HOLDER}).json()
    assert answer["leases"] == []
    return str(answer["nothing"]["code"])


def test_a_project_without_items_says_so() -> None:
    project = make_project()
    assert nothing(Api(project, join(project))) == "no_items"


def test_items_without_a_queue_are_being_prepared() -> None:
    project = make_project()
    make_items(project, 1)
    assert nothing(Api(project, join(project))) == "preparing"


def test_the_last_items_may_be_in_other_hands_or_wait_for_other_people(project: Project, user: User) -> None:
    anna, ben = Api(project, user), Api(project, join(project))
    items = [lease["item"]["id"] for lease in anna.next(6)]
    assert nothing(ben) == "others_busy"
    for item in items[:-1]:
        anna.submit(item, "cat")
    anna("skips", {"id": str(uuid.uuid4()), "item": items[-1]})
    assert nothing(anna) == "yours_done"
    ben.submit(held(ben), "dog")
    assert nothing(ben) == "all_done"


# What it costs


def queries(run: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as captured:
        run()
    return len(captured)


def test_next_and_submit_cost_a_handful_of_statements_however_much_there_is(
    user: User, project: Project
) -> None:
    program = Api(project, user, headers=token_of(user))

    def costs(count: int) -> tuple[int, int]:
        first = queries(lambda: program.next(count))
        item = held(program)
        return first, queries(lambda: program.submit(item, "cat"))

    costs(1)  # schema and token use are remembered from here on
    small = costs(1)
    more = make_items(project, 300)
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, {}) for item in more])
    for lease in program.next(8):
        program.submit(lease["item"]["id"], "dog")
    assert costs(8) == small
    # The statement of the claim or answer itself runs beside Django's log.
    assert max(small) <= 5


# What an answer sets off


def test_enough_answers_begin_a_round(project: Project, user: User) -> None:
    LearningSettings.objects.filter(project=project).update(retrain_labels=3, retrain_minutes=600)
    before = timezone.now() - timedelta(hours=1)
    Round.objects.create(
        project=project, number=1, trigger="manual", seed=1, state="published", frozen_at=before
    )
    api = Api(project, user)
    for _ in range(2):
        api.submit(held(api), "cat")
    assert Round.objects.count() == 1
    api.submit(held(api), "dog")
    begun = Round.objects.get(number=2)
    assert (begun.trigger, begun.state) == ("labels", "active")
    assert Job.objects.get(pk=begun.job_id).queue == "gpu"


def test_repeating_an_answer_begins_nothing(project: Project, user: User) -> None:
    LearningSettings.objects.filter(project=project).update(retrain_labels=1, paused=True)
    api = Api(project, user)
    item, key = held(api), str(uuid.uuid4())
    api.submit(item, "cat", key=key)
    LearningSettings.objects.filter(project=project).update(paused=False)
    assert api.submit(item, "cat", key=key).status_code == 200
    assert not Round.objects.exists()


def test_a_window_that_runs_low_is_refilled_while_people_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "LEAST", 8)
    monkeypatch.setattr(window, "BATCHES", 1)
    project = make_learning_world(60, learning={"batch_size": 8})
    answer_truly(project, join(project), items_of(project)[:10])
    run_round(project)
    waiting = QueueEntry.objects.filter(project=project).count()
    assert waiting < 50
    api = Api(project, join(project))
    seen = set()
    while leases := api("next", {"holder": HOLDER, "count": 1}).json()["leases"]:
        seen.add(leases[0]["item"]["id"])
        assert api.submit(leases[0]["item"]["id"], "cat").status_code == 201
    assert len(seen) == 50
