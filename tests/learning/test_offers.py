"""Streams: one item offered at a time, kept or passed over within the budget; drift; pages and API."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotator.common.errors import Conflict, Invalid
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.labeling.models import Annotation
from annotator.learning import offers, score_offers, tasks
from annotator.learning.models import ItemStream, Offer
from annotator.learning.offers import Score
from annotator.projects.models import LabelClass, Project, Role
from models_zoo.encoding import Features
from tests.factories import choice, join, make_project
from tests.learning.world import DIM, answer_truly, cloud, items_of, make_world, queue_of, run_jobs, run_round

pytestmark = pytest.mark.django_db
assert tasks  # registers the handlers of jobs


def streaming(project: Project | None = None, **values: Any) -> ItemStream:
    project = project or make_project()
    return offers.update_stream(stream=offers.stream_of(project), values={"enabled": True, **values})


def offer(project: Project, number: int = 0, *, sure: float | None = 0.6, **more: Any) -> Offer:
    classes = None if sure is None else {"cat": sure, "dog": 1 - sure}
    return offers.offer(
        project=project, external_id=f"m-{number}", text=f"message {number}", classes=classes, **more
    )


def client_of(project: Project, role: str = Role.MANAGER) -> Client:
    client = Client()
    client.force_login(join(project, role))
    return client


def post(client: Client, project: Project, **body: Any) -> Any:
    url = f"/api/v1/projects/{project.pk}/stream/offers/"
    return client.post(url, json.dumps(body), content_type="application/json")


class TestDeciding:
    def test_a_stream_is_off_until_somebody_turns_it_on(self) -> None:
        project = make_project()
        with pytest.raises(Conflict) as caught:
            offer(project)
        assert caught.value.code == "stream_off"
        assert not Offer.objects.exists()

    def test_a_kept_text_becomes_an_item_with_its_id_and_metadata(self) -> None:
        project = streaming(manager="variable_uncertainty").project
        made = offer(project, meta={"lang": "de"})
        assert (made.state, made.confidence, made.predicted, made.why) == ("kept", 0.6, "cat", "confidence")
        item = Item.objects.get(project=project)
        assert (item.external_id, item.text, item.meta) == ("m-0", "message 0", {"lang": "de"})
        assert made.text is None
        assert ItemStream.objects.get(project=project).state["asked"] == 1

    def test_what_is_passed_over_leaves_its_record_and_no_item(self) -> None:
        project = streaming(manager="variable_uncertainty", budget=0.0).project
        made = offer(project)
        assert (made.state, made.why, made.text) == ("passed", "spent", None)
        assert not Item.objects.filter(project=project).exists()

    def test_the_same_id_gives_the_same_decision_and_counts_once(self) -> None:
        project = streaming(manager="variable_uncertainty").project
        first, second = offer(project), offer(project, sure=0.99)
        assert (first.pk, first.state) == (second.pk, second.state)
        assert ItemStream.objects.get(project=project).state["seen"] == 1

    def test_the_budget_is_kept_over_a_stream(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("annotator.learning.offers.new_seed", lambda: 7)
        project = streaming(manager="quantile", budget=0.2).project
        rng = np.random.default_rng(0)
        for number in range(150):
            offer(project, number, sure=float(0.5 + rng.random() / 2))
        status = offers.status(offers.stream_of(project))
        assert status["seen"] == 150
        assert status["share"] == pytest.approx(0.2, abs=0.02)
        assert Item.objects.filter(project=project).count() == status["kept"]

    def test_without_a_text_the_caller_brings_the_item(self) -> None:
        project = streaming(make_project(modality="image"), manager="variable_uncertainty").project
        made = offers.offer(project=project, external_id="p.png", classes={"cat": 0.5, "dog": 0.5})
        assert made.state == "kept"
        assert not Item.objects.filter(project=project).exists()
        with pytest.raises(Invalid, match="no texts"):
            offers.offer(project=project, external_id="q", text="no", classes={"cat": 0.5, "dog": 0.5})

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            ({"classes": {"cow": 1.0}}, "unknown_class"),
            ({"classes": {"cat": 0.9, "dog": 0.9}}, "invalid_probabilities"),
            ({"text": "   ", "classes": {"cat": 1.0}}, "invalid_text"),
            ({"text": None}, "nothing_offered"),
            ({"text": None, "external_id": "", "classes": {"cat": 1.0}}, "no_id"),
            ({"meta": {"a": "\x00"}, "classes": {"cat": 1.0}}, "invalid_meta"),
        ],
    )
    def test_what_cannot_be_offered_is_refused_and_changes_nothing(
        self, given: dict[str, Any], code: str
    ) -> None:
        project = streaming().project
        with pytest.raises(Invalid) as caught:
            offers.offer(project=project, **({"external_id": "x", "text": "a text"} | given))
        assert caught.value.code == code
        assert not Offer.objects.exists()
        assert ItemStream.objects.get(project=project).state["seen"] == 0

    def test_an_item_that_is_there_is_not_offered(self) -> None:
        project = make_world(3)
        streaming(project)
        with pytest.raises(Conflict) as caught:
            offers.offer(
                project=project, external_id="text-1", text="anything", classes={"cat": 0.5, "dog": 0.5}
            )
        assert caught.value.code == "known_item"

    def test_doubt_of_many_labels_is_the_mean_of_all(self) -> None:
        project = streaming(make_project(task="multi"), manager="variable_uncertainty").project
        made = offers.offer(project=project, external_id="x", text="t", classes={"cat": 0.9, "dog": 0.3})
        assert (made.confidence, made.predicted) == (pytest.approx(0.8), "cat")

    def test_a_model_that_says_nothing_applies_has_named_no_class(self) -> None:
        """Or its right 'nothing' would count as an error towards drift."""
        project = streaming(make_project(task="multi"), manager="random", budget=1.0).project
        made = offers.offer(project=project, external_id="x", text="t", classes={"cat": 0.3, "dog": 0.1})
        assert (made.state, made.confidence, made.predicted) == ("kept", pytest.approx(0.8), "")
        Annotation.objects.create(
            id=uuid.uuid4(), project=project, item=Item.objects.get(project=project), annotator=join(project),
            schema=project.schema, regions=choice(),
        )  # fmt: skip
        offers.judge_labels(project.pk)
        assert ItemStream.objects.get(project=project).state["errors"] == []

    def test_what_people_said_is_not_looked_up_for_every_offer(self) -> None:
        project = streaming(manager="random", budget=1.0).project
        with CaptureQueriesContext(connection) as queries:
            for number in range(offers.JUDGE_EVERY + 1):
                offer(project, number)
        looks = [query for query in queries if "o.wrong IS NULL" in query["sql"]]
        assert len(looks) == 2
        assert ItemStream.objects.get(project=project).state["seen"] == offers.JUDGE_EVERY + 1

    def test_managers_and_parameters_are_checked(self) -> None:
        stream = streaming(manager="split", params={"step": 0.05})
        assert stream.params == {"step": 0.05, "exploration": 0.1}
        assert offers.update_stream(stream=stream, values={"manager": "quantile"}).params == {
            "exploration": 0.1
        }
        for bad in ({"manager": "oracle"}, {"params": {"step": 3}}, {"budget": 2.0}):
            with pytest.raises(Invalid):
                offers.update_stream(stream=stream, values=bad)


class FakeEncoder:
    """Texts 'message N' to the features of row N."""

    dim, digest = DIM, "d" * 64

    def encode(self, samples: list[str], **_options: Any) -> Features:
        rows = np.array([int(text.split()[-1]) for text in samples])
        features = cloud(rows)
        features[rows == 13] = np.nan
        return features


class TestScoring:
    @pytest.fixture
    def project(self, monkeypatch: pytest.MonkeyPatch) -> Project:
        # Of some seeds comes a model that is sure of nothing, and every item is kept.
        monkeypatch.setattr("annotator.learning.triggers.new_seed", lambda: 7)
        project = make_world(40)
        answer_truly(project, join(project), items_of(project)[:20])
        assert run_round(project).model is not None
        monkeypatch.setattr(score_offers, "_encoder", lambda project, model: FakeEncoder())
        streaming(project, manager="variable_uncertainty", budget=0.3)
        return project

    def test_a_worker_scores_what_comes_without_probabilities(self, project: Project) -> None:
        made = [offer(project, number, sure=None) for number in range(100, 130)]
        assert {one.state for one in made} == {"pending"}
        assert Job.objects.filter(project=project, kind=offers.OFFERS_JOB).count() == 1
        [job] = run_jobs(project, offers.OFFERS_JOB)
        job.refresh_from_db()
        assert (job.state, job.result) == ("succeeded", {"decided": 30, "model": True})
        found = Offer.objects.filter(project=project).order_by("pk")
        assert {one.state for one in found} == {"kept", "passed"}
        right = [one.predicted == ("cat", "dog")[int(one.external_id[2:]) % 2] for one in found]
        assert np.mean(right) > 0.6
        assert all(0.5 <= one.confidence <= 1 and one.text is None for one in found)
        assert ItemStream.objects.get(project=project).state["seen"] == 30

    def test_the_state_moves_between_items_of_one_job(self, project: Project) -> None:
        for number in range(100, 110):
            offer(project, number, sure=None)
        run_jobs(project, offers.OFFERS_JOB)
        thresholds = list(
            Offer.objects.filter(project=project).order_by("pk").values_list("threshold", flat=True)
        )
        assert len(set(thresholds)) > 5

    def test_what_cannot_be_read_is_told_and_not_counted(self, project: Project) -> None:
        offer(project, 13, sure=None)
        run_jobs(project, offers.OFFERS_JOB)
        made = Offer.objects.get(project=project)
        assert (made.state, made.why) == ("failed", "unreadable")
        assert ItemStream.objects.get(project=project).state["seen"] == 0

    @pytest.mark.parametrize("ended", ["failed", "cancelled"])
    def test_what_waits_without_a_job_gets_one_from_the_clock(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, ended: str
    ) -> None:
        offer(project, 100, sure=None)
        jobs = Job.objects.filter(project=project, kind=offers.OFFERS_JOB)
        tasks.start_due_rounds()
        assert jobs.count() == 1  # it waits itself
        jobs.update(state=ended, finished_at=timezone.now())
        tasks.start_due_rounds()
        assert jobs.count() == 1  # it would fail again at once
        jobs.update(finished_at=timezone.now() - offers.RETRY_AFTER)
        tasks.start_due_rounds()
        assert jobs.count() == 2
        run_jobs(project, offers.OFFERS_JOB)
        assert Offer.objects.get(project=project).state != "pending"
        jobs.update(finished_at=timezone.now() - offers.RETRY_AFTER)
        tasks.start_due_rounds()
        assert jobs.count() == 2  # nothing waits

    def test_a_job_hears_first_what_people_said(self, project: Project) -> None:
        ItemStream.objects.filter(project=project).update(manager="random", budget=1.0, params={})
        kept = offer(project, 50, sure=0.9)
        assert kept.at_random
        Annotation.objects.create(
            id=uuid.uuid4(), project=project, item=Item.objects.get(project=project, external_id="m-50"),
            annotator=join(project), schema=project.schema, regions=choice("dog"),
        )  # fmt: skip
        offer(project, 51, sure=None)
        run_jobs(project, offers.OFFERS_JOB)
        kept.refresh_from_db()
        assert kept.wrong is True

    def test_too_many_that_wait_are_refused(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(offers, "MOST_PENDING", 1)
        offer(project, 100, sure=None)
        with pytest.raises(Conflict) as caught:
            offer(project, 101, sure=None)
        assert caught.value.code == "stream_full"
        assert Offer.objects.count() == 1

    def test_kept_items_are_served_at_every_second_place(self, project: Project) -> None:
        made = [offer(project, number, sure=0.5) for number in range(100, 104)]
        assert {one.state for one in made} == {"kept"}
        run_round(project)
        entries = queue_of(project)
        asked = [place for place, entry in enumerate(entries) if entry.served["reason"]["kind"] == "asked"]
        names = [entries[place].item.external_id for place in asked]
        assert [name for name in names if name.startswith("m-")] == sorted(names)
        assert len(asked) >= 3
        assert all(place < 12 for place in asked)


def test_without_a_model_chance_decides_within_the_budget() -> None:
    project = streaming(make_project(), budget=0.5).project
    for number in range(60):
        offer(project, number, sure=None)
    run_jobs(project, offers.OFFERS_JOB)
    found = Offer.objects.filter(project=project)
    assert {one.why for one in found} == {"no model"}
    assert 10 < found.filter(state="kept").count() < 50
    assert all(one.at_random and one.predicted == "" for one in found)


class TestDrift:
    @pytest.fixture
    def project(self) -> Project:
        return streaming(make_project(), manager="random", budget=1.0).project

    def judge(self, project: Project, numbers: range, says: str) -> None:
        user = join(project)
        for number in numbers:
            made = offer(project, number, sure=0.9)
            assert made.state == "kept"
            Annotation.objects.create(
                id=uuid.uuid4(),
                project=project,
                item=Item.objects.get(project=project, external_id=made.external_id),
                annotator=user,
                schema=project.schema,
                regions=choice(says),
            )

    def test_answers_say_which_predictions_were_right(self, project: Project) -> None:
        self.judge(project, range(3), "cat")
        self.judge(project, range(3, 5), "dog")
        offers.judge_labels(project.pk)
        told = dict(Offer.objects.filter(project=project).values_list("external_id", "wrong"))
        assert told == {"m-0": False, "m-1": False, "m-2": False, "m-3": True, "m-4": True}
        assert ItemStream.objects.get(project=project).state["errors"] == [0, 0, 0, 1, 1]
        offers.judge_labels(project.pk)
        assert len(ItemStream.objects.get(project=project).state["errors"]) == 5

    def test_many_new_errors_raise_the_alarm(self, project: Project) -> None:
        self.judge(project, range(30), "cat")
        self.judge(project, range(30, 60), "dog")
        offers.judge_labels(project.pk)
        stream = ItemStream.objects.get(project=project)
        status = offers.status(stream)
        assert (status["alarms"], status["alarmed"], status["threshold"]) == (1, True, 1.0)
        assert stream.alarmed_at is not None
        page = client_of(project).get(reverse("learning:stream", args=[project.pk])).content.decode()
        assert "The stream has changed" in page
        assert not offers.status(offers.reset(stream=stream))["alarmed"]

    def test_only_items_that_chance_kept_count(self, project: Project) -> None:
        stream = ItemStream.objects.get(project=project)
        offers.update_stream(stream=stream, values={"manager": "variable_uncertainty"})
        self.judge(project, range(1), "dog")
        offers.judge_labels(project.pk)
        assert ItemStream.objects.get(project=project).state["errors"] == []


class TestApi:
    def test_a_program_is_told_keep_or_pass(self) -> None:
        project = streaming(manager="variable_uncertainty").project
        client = client_of(project)
        kept = post(client, project, external_id="a", text="One", classes={"cat": 0.5, "dog": 0.5})
        assert (kept.status_code, kept.json()["keep"], kept.json()["state"]) == (200, True, "kept")
        ItemStream.objects.filter(project=project).update(budget=0.0)
        passed = post(client, project, external_id="b", text="Two", classes={"cat": 0.5, "dog": 0.5})
        assert (passed.json()["keep"], passed.json()["why"]) == (False, "spent")
        waits = post(client, project, external_id="c", text="Three")
        assert (waits.status_code, waits.json()["keep"]) == (202, None)
        url = f"/api/v1/projects/{project.pk}/stream/offers/"
        listed = client.get(url, {"state": "passed"}).json()["results"]
        assert [one["external_id"] for one in listed] == ["b"]
        assert client.get(f"{url}{waits.json()['id']}/").json()["state"] == "pending"
        assert client.get(f"{url}999999/").status_code == 404

    def test_settings_and_state_are_read_and_changed(self) -> None:
        project = make_project()
        client, url = client_of(project), f"/api/v1/projects/{project.pk}/stream/"
        first = client.get(url)
        assert (first.json()["enabled"], first.json()["status"]["seen"]) == (False, 0)
        assert {one["key"] for one in first.json()["managers"]} >= {
            "split",
            "variable_uncertainty",
            "quantile",
        }
        values = {"enabled": True, "budget": 0.25, "manager": "quantile"}
        headers = {"If-Match": first["ETag"]}
        changed = client.patch(url, values, content_type="application/json", headers=headers)
        assert (changed.status_code, changed.json()["budget"]) == (200, 0.25)
        assert client.patch(url, values, content_type="application/json", headers=headers).status_code == 412
        # An item offered meanwhile is no reason to refuse a change.
        post(client, project, external_id="a", text="One", classes={"cat": 0.5, "dog": 0.5})
        headers = {"If-Match": changed["ETag"]}
        again = client.patch(url, {"budget": 0.3}, content_type="application/json", headers=headers)
        assert again.status_code == 200
        assert client.patch(url, {"mood": 1}, content_type="application/json").status_code == 422
        assert client.post(f"{url}reset/").json()["status"]["seen"] == 0

    @pytest.mark.parametrize(
        "body", [{"classes": {"cat": 2}}, {"classes": []}, {"meta": 3}, {"text": 5.5, "classes": 1}]
    )
    def test_malformed_offers_are_named(self, body: dict[str, Any]) -> None:
        project = streaming().project
        assert post(client_of(project), project, **body).status_code in {400, 422}

    def test_the_page_shows_decisions_and_saves_settings(self) -> None:
        project = streaming(manager="variable_uncertainty").project
        offer(project)
        client, url = client_of(project), reverse("learning:stream", args=[project.pk])
        page = client.get(url).content.decode()
        assert "m-0" in page
        assert 'name="manager-step"' in page
        asked = {"manager": "quantile", "budget": "0.2", "enabled": "on", "refresh": "1"}
        shown = client.post(url, asked, headers={"HX-Request": "true"}).content.decode()
        assert 'name="manager-exploration"' in shown
        del asked["refresh"]
        assert client.post(url, asked).status_code == 302
        stored = ItemStream.objects.get(project=project)
        assert (stored.manager, stored.budget, stored.params) == ("quantile", 0.2, {"exploration": 0.1})
        assert client.post(url, asked | {"budget": "3"}).status_code == 422


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @pytest.fixture
    def project(self) -> Iterator[Project]:
        yield streaming(make_project(), manager="variable_uncertainty", budget=1.0).project
        LabelClass.objects.all().delete()

    def test_every_offer_moves_one_state(self, project: Project) -> None:
        """Eight threads offer forty items: none is lost, and the thresholds are those of one after another."""

        def send(number: int) -> None:
            try:
                offer(project, number, sure=0.999)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(8) as many:
            list(many.map(send, range(40)))
        stream = ItemStream.objects.get(project=project)
        assert stream.state["seen"] == 40
        thresholds = Offer.objects.filter(project=project).values_list("threshold", flat=True)
        assert sorted(thresholds, reverse=True)[0] == 1.0
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(DISTINCT row) FROM items_item WHERE project_id = %s", [project.pk])
            assert cursor.fetchone()[0] == stream.state["asked"]


def test_scores_are_those_of_the_best_guess() -> None:
    assert score_offers._best(
        np.array([0.2, 0.7, 0.1], dtype=np.float32), ("a", "b", "c"), multi=False
    ) == Score(confidence=pytest.approx(0.7), predicted="b")
    many = score_offers._best(np.array([0.9, 0.3], dtype=np.float32), ("a", "b"), multi=True)
    assert (many.predicted, many.confidence) == ("a", pytest.approx(0.8))
    nothing = score_offers._best(np.array([0.4, 0.3], dtype=np.float32), ("a", "b"), multi=True)
    assert (nothing.predicted, nothing.confidence) == ("", pytest.approx(0.65))
