"""Previews of another strategy, and rounds again: both leave everything as it is."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from acquisition import registry
from annotator.common.errors import Conflict, Invalid
from annotator.jobs.models import Job
from annotator.jobs.services import cancel_job, run_job
from annotator.labeling import queue
from annotator.labeling.models import QueueEntry
from annotator.learning import replayable, whatif
from annotator.learning.folders import round_folder, weights_path
from annotator.learning.models import ModelVersion, Round
from annotator.learning.steps import rank
from annotator.learning.whatif_forms import PreviewForm
from annotator.learning.work import Work
from annotator.projects.models import Project, Role
from models_zoo.errors import Cancelled
from tests.factories import join
from tests.learning.test_serving import crashing, register
from tests.learning.world import answer_truly, items_of, make_world, queue_of, run_jobs, run_round

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    project = make_world(120, learning={"exploration_share": 0.0})
    answer_truly(project, join(project), items_of(project)[:20])
    run_round(project)
    return project


def client_of(project: Project, role: str = Role.MANAGER) -> Client:
    client = Client()
    client.force_login(join(project, role))
    return client


def preview(project: Project, strategy: str, **params: Any) -> Job:
    job = whatif.start_preview(project=project, by=None, strategy=strategy, params=params)
    run_job(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.SUCCEEDED, job.error
    return job


def test_another_strategy_is_shown_beside_the_queue_which_stays(project: Project) -> None:
    def everything() -> list[Any]:
        return [
            list(QueueEntry.objects.values_list("pk", "item", "position", "free")),
            list(Round.objects.values_list("pk", "state", "strategy")),
            list(ModelVersion.objects.values_list("pk", "in_use")),
            sorted(path.name for path in round_folder(project.pk, 0).parent.iterdir()),
        ]

    before = everything()
    job = preview(project, "typicality")
    assert everything() == before
    assert job.result["now"] == [entry.item_id for entry in queue_of(project)[:50]]
    assert len(job.result["then"]) == 50
    then = [row["item"] for row in job.result["then"]]
    assert then != job.result["now"]
    assert job.result["common"] == len(set(then) & set(job.result["now"]))
    lines = whatif.diff(project.pk, job.result)
    assert [line.then for line in lines[:50]] == list(range(1, 51))
    assert {line.move for line in lines[50:]} == {"gone"}
    assert len(lines) == 100 - job.result["common"]


def test_the_strategy_in_use_previews_what_is_served(project: Project) -> None:
    lines = whatif.diff(project.pk, preview(project, "margin").result)
    assert {line.move for line in lines} == {"same"}
    assert all("wavers between" in line.why for line in lines)


def test_presets_are_previewed_like_strategies(project: Project) -> None:
    job = preview(project, "preset:automatic", labels_per_class=50)
    assert job.params["title"] == "Preview of Automatic"
    typical = preview(project, "typicality")
    # While labels are few the preset chooses typical items.
    assert job.result["then"][0]["item"] == typical.result["then"][0]["item"]
    with pytest.raises(Invalid):
        whatif.start_preview(project=project, by=None, strategy="preset:nonsense", params={})


def test_moves_are_named() -> None:
    lines = [
        whatif.Line(1, "a", now, then, "", exploration=False)
        for now, then in ((1, 1), (5, 2), (2, 5), (None, 3), (3, None))
    ]
    assert [line.move for line in lines] == ["same", "up", "down", "new", "gone"]


def test_answers_since_the_round_are_out_of_the_preview(project: Project) -> None:
    first = queue_of(project)[0].item
    answer_truly(project, join(project), [first])
    then = [row["item"] for row in preview(project, "margin").result["then"]]
    assert first.pk not in then


def test_what_somebody_has_in_hand_is_out_of_both_sides(project: Project) -> None:
    head = queue_of(project)[0].item_id
    queue.claim(project_id=project.pk, user_id=join(project).pk, holder=uuid.uuid4(), count=1)
    result = preview(project, "margin").result
    assert head not in result["now"]
    assert head not in [row["item"] for row in result["then"]]


def test_before_there_is_a_model_cold_strategies_are_previewed() -> None:
    project = make_world(60, learning={"cold_strategy": "random"})
    run_round(project)
    result = preview(project, "typicality").result
    assert result["model"] is None
    assert len(result["then"]) == 50
    with pytest.raises(Invalid) as caught:
        whatif.start_preview(project=project, by=None, strategy="margin", params={})
    assert caught.value.code == "unfit_strategy"


def test_the_page_previews_and_shows_the_diff(project: Project) -> None:
    client, url = client_of(project), reverse("learning:whatif", args=[project.pk])
    assert "No preview yet" in client.get(url).content.decode()
    begun = client.post(url, {"strategy": "typicality"})
    assert begun.status_code == 302
    waiting = client.get(begun.headers["Location"]).content.decode()
    assert "Preview of Typicality" in waiting
    run_jobs(project, whatif.WHATIF_JOB)
    shown = client.get(begun.headers["Location"]).content.decode()
    for words in ("Leaves", "New", "of the next 50 are among the next 50 now, by Margin"):
        assert words in shown
    assert client.post(url, {"strategy": "nonsense"}).status_code == 422
    assert client.get(url, {"job": "999999"}).status_code == 404
    assert client_of(project, Role.VIEWER).post(url, {"strategy": "random"}).status_code == 403


def test_the_form_keeps_what_is_previewed(project: Project) -> None:
    preview(project, "core_set", normalise=False)
    page = client_of(project).get(reverse("learning:whatif", args=[project.pk])).content.decode()
    assert '<option value="core_set" selected>' in page
    form = PreviewForm(project=project, shown={"strategy": "core_set", "params": {"normalise": False}})
    assert form["param-normalise"].value() is False
    assert PreviewForm(project=project, shown={"strategy": "gone"})["strategy"].value() == "margin"


def test_parameters_that_the_form_did_not_show_are_the_usual_ones(project: Project) -> None:
    form = PreviewForm({"strategy": "core_set", "drawn-strategy": "margin"}, project=project)
    assert form.is_valid()
    assert form.params()["normalise"] is True
    shown = PreviewForm({"strategy": "core_set", "drawn-strategy": "core_set"}, project=project)
    assert shown.is_valid()
    assert shown.params()["normalise"] is False


def test_choosing_a_strategy_shows_its_parameters_and_previews_nothing(project: Project) -> None:
    client, url = client_of(project), reverse("learning:whatif", args=[project.pk])
    page = client.get(url).content.decode()
    assert 'name="param-reduction"' not in page, "which the strategy in use has for three classes and more"
    assert f'hx-post="{url}" hx-trigger="change"' in page
    chosen = {"strategy": "core_set", "drawn-strategy": "margin", "param-nonsense": "x", "refresh": "1"}
    form = client.post(url, chosen, headers={"HX-Request": "true"})
    text = form.content.decode()
    assert (form.status_code, text.strip().startswith("<form")) == (200, True)
    assert 'name="param-normalise"' in text
    assert 'name="drawn-strategy" value="core_set"' in text
    assert registry.get("core_set").spec.advice in text
    assert "field--error" not in text
    whole = client.post(url, chosen)
    assert whole.status_code == 200
    assert 'name="param-normalise"' in whole.content.decode(), "without scripts too"
    assert not Job.objects.filter(kind=whatif.WHATIF_JOB).exists()
    assert client_of(project, Role.VIEWER).post(url, chosen).status_code == 403


def test_programs_preview_too(project: Project) -> None:
    client, url = client_of(project), f"/api/v1/projects/{project.pk}/preview/"
    answer = client.post(url, json.dumps({"strategy": "random"}), content_type="application/json")
    assert answer.status_code == 202
    run_jobs(project, whatif.WHATIF_JOB)
    job = client.get(f"/api/v1/projects/{project.pk}/jobs/{answer.json()['id']}/").json()
    assert len(job["result"]["then"]) == 50
    wrong = client.post(url, json.dumps({"strategy": "x"}), content_type="application/json")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "unfit_strategy")


def test_a_strategy_that_fails_fails_the_preview_only(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, crashing)
    job = whatif.start_preview(project=project, by=None, strategy="foreign", params={})
    run_job(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert "no mass left" in job.error
    assert not Round.objects.filter(project=project, state=Round.State.FAILED).exists()
    page = client_of(project).get(reverse("learning:whatif", args=[project.pk])).content.decode()
    assert "no mass left" in page


def cancel_in_between(monkeypatch: pytest.MonkeyPatch, job: Job) -> None:
    """Somebody cancels the job just before it ranks."""
    monkeypatch.setattr("annotator.jobs.services.PROGRESS_EVERY", 0.0)
    select = rank._select

    def select_cancelled(work: Work, *args: Any) -> Any:
        cancel_job(job=Job.objects.get(pk=job.pk))
        if work.should_stop():
            raise Cancelled("stopped on request")
        return select(work, *args)

    monkeypatch.setattr(rank, "_select", select_cancelled)
    run_job(job.pk)
    job.refresh_from_db()


def test_a_cancelled_preview_is_cancelled_and_not_failed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = whatif.start_preview(project=project, by=None, strategy="typicality", params={})
    cancel_in_between(monkeypatch, job)
    assert (job.state, job.error) == (Job.State.CANCELLED, "")


def test_the_same_preview_is_made_once_and_another_waits_for_it(project: Project) -> None:
    first = whatif.start_preview(project=project, by=None, strategy="typicality", params={})
    assert whatif.start_preview(project=project, by=None, strategy="typicality", params={}) == first
    with pytest.raises(Conflict) as caught:
        whatif.start_preview(project=project, by=None, strategy="random", params={})
    assert (caught.value.code, caught.value.extra["job"]) == ("preview_active", first.pk)
    refused = client_of(project).post(reverse("learning:whatif", args=[project.pk]), {"strategy": "random"})
    assert "Preview of Typicality (TypiClust) is being made" in refused.content.decode()
    run_jobs(project, whatif.WHATIF_JOB)
    assert whatif.start_preview(project=project, by=None, strategy="typicality", params={}) != first


# Rounds again


def test_a_replay_can_be_cancelled(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    job = replayable.start_replay(round_=Round.objects.get(project=project, number=1), by=None)
    cancel_in_between(monkeypatch, job)
    assert (job.state, job.error) == (Job.State.CANCELLED, "")


def test_a_round_is_replayed_from_its_page(project: Project) -> None:
    client, url = client_of(project), reverse("learning:replay", args=[project.pk, 1])
    assert "Replay round 1" in client.get(url).content.decode()
    assert client.post(url).status_code == 302
    [job] = run_jobs(project, replayable.REPLAY_JOB)
    job.refresh_from_db()
    assert job.result["same"] is True
    assert job.result["items"] == [entry.item_id for entry in queue_of(project)[:50]]
    page = client.get(url).content.decode()
    assert "The same list, place by place" in page
    assert "text-" in page or "This is text number" in page


def test_what_is_gone_is_named_before_anybody_tries(project: Project) -> None:
    weights_path(project.pk, 1).unlink()
    (round_folder(project.pk, 1) / "pool.npy").unlink()
    client = client_of(project)
    page = client.get(reverse("learning:replay", args=[project.pk, 1])).content.decode()
    assert "Not kept: its pool, the weights of model 1" in page
    assert '<button class="button button--primary" type="submit">Replay' not in page
    answer = client.post(
        f"/api/v1/projects/{project.pk}/rounds/1/replay/", "{}", content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "not_kept")


def test_a_round_without_a_ranking_has_nothing_to_replay(project: Project) -> None:
    Round.objects.create(project=project, number=9, trigger="manual", seed=1, state=Round.State.FAILED)
    page = client_of(project).get(reverse("learning:replay", args=[project.pk, 9])).content.decode()
    assert "This round published no ranking" in page


def test_the_models_page_leads_to_the_replay_of_each_round(project: Project) -> None:
    page = client_of(project).get(reverse("learning:models", args=[project.pk])).content.decode()
    assert reverse("learning:replay", args=[project.pk, 1]) in page
