"""The strategy lab: how it survives crashes, what it says, who may use it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotator.common.errors import Conflict
from annotator.jobs.models import Job
from annotator.jobs.services import run_job, start_job
from annotator.learning import lab, lab_plan, lab_run
from annotator.learning.lab_results import chart
from annotator.learning.models import Backtest, LearningSettings, Round
from annotator.projects.models import Project, Role
from tests.factories import join, make_user
from tests.learning.lab_world import QUICK, in_key_order, labelled, planned, play
from tests.learning.world import (
    answer_truly,
    run_jobs,
    settings_of,
)

pytestmark = pytest.mark.django_db


def client_of(project: Project, role: str = Role.MANAGER) -> Client:
    client = Client()
    client.force_login(join(project, role))
    return client


def api(project: Project, path: str = "") -> str:
    return f"/api/v1/projects/{project.pk}/backtests/{path}"


def post(client: Client, url: str, values: Any = None) -> Any:
    return client.post(url, json.dumps(values or {}), content_type="application/json")


# What it does


def test_a_backtest_plays_every_strategy_with_every_seed_and_keeps_the_result() -> None:
    backtest = play(labelled())
    assert backtest.state == "done"
    runs = list(backtest.runs.all())
    assert {(run.name, run.seed) for run in runs} == {
        (name, seed) for name in ("margin", "random") for seed in range(3)
    }
    assert all(run.labels == [10, 20, 30] and len(run.scores) == 3 and run.held_out == 60 for run in runs)
    told = {row["name"]: row for row in backtest.result["strategies"]}
    assert told["random"]["saved"] is None
    assert (
        told["margin"]["saved"]["low"] <= told["margin"]["saved"]["value"] <= told["margin"]["saved"]["high"]
    )
    assert 0.5 < told["margin"]["area"]["value"] <= 1
    [verdict] = backtest.result["verdicts"]
    assert verdict["decision"] == "equal"  # three seeds can decide nothing
    assert any("Fewer than five seeds" in note for note in backtest.result["notes"])
    drawn = chart(backtest, runs)
    assert [series["name"] for series in drawn["series"]] == ["Margin", "Random"]
    assert [point["x"] for point in drawn["series"][0]["points"]] == [10, 20, 30]
    assert all(point["low"] <= point["y"] <= point["high"] for point in drawn["series"][0]["points"])


def test_the_same_labels_and_seed_give_the_same_curves() -> None:
    project = labelled()
    first, second = play(project), lab.start_backtest(project=project, by=None, values=QUICK)
    Backtest.objects.filter(pk=second.pk).update(seed=first.seed)
    assert second.job is not None
    run_job(second.job.pk)
    for run in second.runs.all():
        assert run.scores == first.runs.get(name=run.name, seed=run.seed).scores


def test_presets_and_the_projects_own_composition_are_replayed_as_rounds_would() -> None:
    project = labelled(learning={"composition": {"terms": [{"strategy": "entropy"}]}})
    backtest = play(project, strategies=["own", "preset:automatic", "preset:tight_budget"], budget=40)
    assert list(backtest.runs.exclude(error="").values_list("name", "error")) == []
    assert {run.name for run in backtest.runs.all()} == {
        "own",
        "preset:automatic",
        "preset:tight_budget",
        "random",
    }
    assert backtest.settings["in_use"] == "own"


def test_a_committee_is_made_for_strategies_that_ask_one() -> None:
    backtest = play(labelled(), strategies=[{"key": "bald", "params": {"members": 3}}], budget=20)
    assert list(backtest.runs.exclude(error="").values_list("name", "error")) == []


def test_several_classes_at_once_are_replayed_too() -> None:
    project = labelled(classes=("cat", "dog", "cow"), task="multi")
    backtest = play(project, seeds=3, budget=20)
    assert backtest.state == "done", backtest.job and backtest.job.error
    assert not backtest.runs.exclude(error="").exists()


class Killed(BaseException):
    """Stands for SIGKILL."""


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException) -> list[tuple[str, int]]:
    """The run after so many ends with this error; returns what was begun."""
    whole, begun = lab_run.Bench.play, []

    def fatal(self: Any, name: str, seed: int, on_batch: Any) -> Any:
        begun.append((name, seed))
        if len(begun) == after + 1:
            raise error
        return whole(self, name, seed, on_batch)

    monkeypatch.setattr(lab_run.Bench, "play", fatal)
    return begun


def test_after_a_crash_it_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    project = labelled()
    backtest = lab.start_backtest(project=project, by=None, values=QUICK)
    assert backtest.job is not None
    with monkeypatch.context() as patch:
        interrupt(patch, 2, Killed())
        with pytest.raises(Killed):
            run_job(backtest.job.pk)
    kept = {(run.name, run.seed): (run.pk, run.scores) for run in backtest.runs.all()}
    assert len(kept) == 2
    frozen = bytes(Backtest.objects.get(pk=backtest.pk).data)
    answer_truly(
        project, join(project), in_key_order(project)[120:]
    )  # labels that came meanwhile change nothing
    with monkeypatch.context() as patch:
        begun = interrupt(patch, 99, Killed())
        Job.objects.filter(pk=backtest.job.pk).update(state=Job.State.QUEUED)
        run_job(backtest.job.pk)
    assert not set(begun) & set(kept)
    done = lab.backtest_of(project.pk, backtest.pk)
    assert (done.state, done.runs.count(), bytes(done.data)) == ("done", 6, frozen)
    for (name, seed), (pk, scores) in kept.items():
        assert (done.runs.get(name=name, seed=seed).pk, done.runs.get(name=name, seed=seed).scores) == (
            pk,
            scores,
        )


def test_it_can_be_cancelled_and_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    project = labelled()
    backtest = lab.start_backtest(project=project, by=None, values=QUICK)
    assert backtest.job is not None
    job = backtest.job
    whole, asked = lab_run.Bench.play, []

    def cancel_in_the_third(self: Any, name: str, seed: int, on_batch: Any) -> Any:
        asked.append(name)
        if len(asked) == 3:
            lab.cancel_backtest(backtest=lab.backtest_of(project.pk, backtest.pk))
            monkeypatch.setattr("annotator.jobs.services.PROGRESS_EVERY", 0.0)
        return whole(self, name, seed, on_batch)

    with monkeypatch.context() as patch:
        patch.setattr(lab_run.Bench, "play", cancel_in_the_third)
        run_job(job.pk)
    stopped = lab.backtest_of(project.pk, backtest.pk)
    assert (stopped.state, stopped.runs.count(), stopped.result["runs"]) == ("cancelled", 2, 2)
    with pytest.raises(Conflict, match="does not run"):
        lab.cancel_backtest(backtest=stopped)
    run_job(lab.resume_backtest(backtest=stopped, by=None).pk)
    done = lab.backtest_of(project.pk, backtest.pk)
    assert (done.state, done.runs.count()) == ("done", 6)
    with pytest.raises(Conflict, match="complete"):
        lab.resume_backtest(backtest=done, by=None)


def test_rounds_that_wait_go_first() -> None:
    project = labelled()
    backtest = lab.start_backtest(project=project, by=None, values=QUICK)
    start_job(kind="round", project_id=None, created_by=None, queue="gpu", params={"round": 0})
    assert backtest.job is not None
    run_job(backtest.job.pk)
    first = Job.objects.get(pk=backtest.job.pk)
    assert first.result["made_room"] is True
    again = lab.backtest_of(project.pk, backtest.pk)
    assert (again.state, again.runs.count()) == ("running", 1)
    Job.objects.filter(kind="round").delete()
    run_jobs(project, lab.BACKTEST_JOB)
    assert lab.backtest_of(project.pk, backtest.pk).state == "done"


def test_a_strategy_that_crashes_is_left_out_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    project = labelled()
    interrupt(monkeypatch, 0, ZeroDivisionError("no mass left"))
    backtest = play(project, strategies=["margin", "entropy"])
    assert backtest.state == "done"
    told = {row["name"]: row for row in backtest.result["strategies"]}
    assert told["margin"]["error"] == "ZeroDivisionError: no mass left"
    assert told["margin"]["area"] is None
    assert backtest.runs.filter(name="margin").count() == 1
    assert {(row["first"], row["second"]) for row in backtest.result["verdicts"]} == {("entropy", "random")}
    page = client_of(project).get(reverse("learning:backtest", args=[project.pk, backtest.pk]))
    assert "no mass left" in page.content.decode()


def test_features_that_are_gone_fail_it_with_a_reason() -> None:
    project = labelled()
    backtest = lab.start_backtest(project=project, by=None, values=QUICK)
    Backtest.objects.filter(pk=backtest.pk).update(settings=backtest.settings | {"encoder_digest": "0" * 64})
    assert backtest.job is not None
    run_job(backtest.job.pk)
    failed = lab.backtest_of(project.pk, backtest.pk)
    assert failed.state == "failed"
    assert failed.job is not None
    assert "features" in failed.job.error


# Pages, API, command


def test_use_this_one_changes_the_projects_strategy() -> None:
    project = labelled(learning={"strategy": "entropy"})
    backtest = play(project, strategies=["margin", "entropy"])
    client = client_of(project)
    url = reverse("learning:backtest-use", args=[project.pk, backtest.pk])
    assert client.post(url, {"name": "margin"}).status_code == 302
    stored = LearningSettings.objects.get(project=project)
    assert stored.strategy == "margin"
    assert stored.strategy_params == next(
        each["params"] for each in backtest.settings["strategies"] if each["name"] == "margin"
    )
    assert Round.objects.filter(project=project, state="active").exists()
    assert client.post(url, {"name": "typicality"}).status_code == 422


def test_using_a_preset_and_then_a_strategy_turns_the_preset_on_and_off() -> None:
    project = labelled()
    backtest = play(project, strategies=["preset:automatic", "entropy"], budget=20)
    lab.use_strategy(backtest=backtest, name="preset:automatic", by=None)
    assert settings_of(project).preset == "automatic"
    lab.use_strategy(backtest=backtest, name="entropy", by=None)
    assert (settings_of(project).preset, settings_of(project).strategy) == ("", "entropy")


def test_the_automatic_preset_hears_which_of_its_two_strategies_is_better() -> None:
    project = labelled(learning={"preset": "automatic"})
    backtest = planned(project, strategies=["margin", "entropy"])
    backtest.result = {
        "strategies": [
            {"key": "badge", "area": {"value": 0.9}}, {"key": "margin", "area": {"value": 0.8}},
        ]
    }  # fmt: skip
    lab.remember_favourite(backtest)
    favourite = settings_of(project).favourite
    assert (favourite["strategy"], favourite["backtest"]) == ("badge", backtest.pk)
    backtest.result = {"strategies": [{"key": "margin", "area": {"value": 0.8}}]}
    lab.remember_favourite(backtest)  # nothing was compared
    assert settings_of(project).favourite == favourite


def test_the_page_says_how_long_before_anything_begins() -> None:
    project = labelled()
    client, url = client_of(project), reverse("learning:lab", args=[project.pk])
    page = client.get(url).content.decode()
    assert "Takes about" in page
    assert "120 labels, 120 of them may judge" in page
    form = {"strategies": ["margin", "entropy"], "seeds": "10", "budget": "30", "batch": "10", "pool": "all"}
    shown = client.post(url, form | {"estimate": "1"}, headers={"HX-Request": "true"})
    assert shown.status_code == 200
    assert "Takes about" in shown.content.decode()
    assert not Backtest.objects.exists()
    wrong = client.post(url, form | {"estimate": "1", "budget": "9999"}, headers={"HX-Request": "true"})
    assert wrong.status_code == 200  # nothing was begun that could have failed
    assert "labels can be replayed" in wrong.content.decode()
    begun = client.post(url, form)
    backtest = Backtest.objects.get()
    assert begun.headers["Location"] == reverse("learning:backtest", args=[project.pk, backtest.pk])
    assert backtest.estimate["high"] > 0
    assert backtest.names == ["margin", "entropy", "random"]


def test_labels_are_counted_once_for_each_answer() -> None:
    project = labelled()
    client, url = client_of(project), reverse("learning:lab", args=[project.pk])
    form = {"strategies": ["margin"], "seeds": "5", "budget": "30", "batch": "10", "pool": "all"}
    asked = [
        lambda: client.get(url),
        lambda: client.post(url, form | {"estimate": "1"}, headers={"HX-Request": "true"}),
        lambda: client.post(url, form | {"budget": "9999"}),
        lambda: post(client, api(project, "estimate/")),
        lambda: client.post(url, form),
    ]
    for ask in asked:
        with CaptureQueriesContext(connection) as queries:
            ask()
        counted = [query for query in queries if "AS test FROM items_item" in query["sql"]]
        assert len(counted) == 1
    assert Backtest.objects.count() == 1


def test_the_page_of_a_project_with_too_few_labels_says_so() -> None:
    project = labelled(60, drawn=20)
    page = client_of(project).get(reverse("learning:lab", args=[project.pk])).content.decode()
    assert "Not enough to replay yet" in page
    assert "there are 20" in page
    assert '<form class="form"' not in page


def test_a_backtest_page_shows_curves_verdicts_and_what_to_use() -> None:
    project = labelled()
    backtest = play(project)
    client = client_of(project)
    page = client.get(reverse("learning:backtest", args=[project.pk, backtest.pk])).content.decode()
    for words in (
        "Use this one",
        "Cannot be told apart",
        "Largest area",
        "Judged on randomly drawn labels only",
    ):
        assert words in page
    curve = client.get(reverse("learning:backtest-curve", args=[project.pk, backtest.pk])).json()
    assert len(curve["series"]) == 2
    listed = client.get(reverse("learning:lab", args=[project.pk])).content.decode()
    assert backtest.result["advice"]["text"] in listed
    viewer = client_of(project, Role.VIEWER).get(reverse("learning:backtest", args=[project.pk, backtest.pk]))
    assert "Use this one" not in viewer.content.decode()


def test_programs_begin_follow_and_use_a_backtest() -> None:
    project = labelled()
    client = client_of(project)
    body = {"strategies": [{"key": "margin"}], "seeds": 3, "budget": 30, "batch": 10}
    asked = post(client, api(project, "estimate/"), body).json()
    assert asked["judges"] == 120
    assert asked["seconds"]["high"] >= asked["seconds"]["low"] > 0
    begun = post(client, api(project), body)
    assert (begun.status_code, begun.json()["state"]) == (202, "running")
    number = begun.json()["id"]
    assert client.delete(api(project, f"{number}/")).json()["code"] == "backtest_active"
    run_jobs(project, lab.BACKTEST_JOB)
    told = client.get(api(project, f"{number}/")).json()
    assert (told["state"], len(told["runs"])) == ("done", 6)
    assert client.get(api(project)).json()["results"][0]["id"] == number
    assert post(client, api(project, f"{number}/use/"), {"name": "margin"}).json()["strategy"] == "margin"
    assert post(client, api(project, f"{number}/resume/")).json()["code"] == "backtest_done"
    assert client.delete(api(project, f"{number}/")).status_code == 204
    assert client.get(api(project, f"{number}/")).status_code == 404


def test_programs_that_send_nothing_get_what_the_page_proposes() -> None:
    project = labelled()
    told = post(client_of(project), api(project, "estimate/")).json()["settings"]
    assert [each["name"] for each in told["strategies"]][:1] == ["margin"]
    assert (
        {"margin", "random"} <= {each["name"] for each in told["strategies"]} <= {"margin", "badge", "random"}
    )
    assert (told["seeds"], told["pool"]) == (5, "all")
    assert told["budget"] <= 60


def test_the_command_says_how_long_plays_and_prints_lines() -> None:
    project = labelled()
    out, err = StringIO(), StringIO()
    options = {"strategies": "margin", "seeds": 3, "budget": 20, "batch": 10, "stdout": out, "stderr": err}
    call_command("backtest", project.pk, "--estimate", **options)
    assert "This takes about" in err.getvalue()
    assert not Backtest.objects.exists()
    call_command("backtest", project.pk, **options)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["line"] for line in lines].count("run") == 6
    assert {line["name"] for line in lines if line["line"] == "strategy"} == {"margin", "random"}
    assert [line["decision"] for line in lines if line["line"] == "pair"] == ["equal"]
    assert Backtest.objects.get().state == "done"
    with pytest.raises(CommandError, match="complete"):
        call_command("backtest", project.pk, resume=Backtest.objects.get().pk)
    with pytest.raises(CommandError, match="no project"):
        call_command("backtest", 10**9)
    with pytest.raises(CommandError, match="does not fit"):
        call_command("backtest", project.pk, budget=10**6)


def test_a_replay_makes_the_signals_of_every_strategy_that_is_offered(tmp_path: Path) -> None:
    project = labelled(110, drawn=100)
    offered = [each.spec.key for each in lab_plan.candidates("single") if not each.source]
    assert {"random", "margin", "entropy", "typicality", "kmeans", "bald"} <= set(offered)
    for start in range(0, len(offered), lab_plan.MOST_STRATEGIES - 1):
        part = offered[start : start + lab_plan.MOST_STRATEGIES - 1]
        Job.objects.filter(kind=lab.BACKTEST_JOB).delete()
        backtest = lab.start_backtest(
            project=project, by=None, values=QUICK | {"strategies": part, "budget": 20}
        )
        bench = lab_run._prepare(backtest, tmp_path, lambda: False)
        for name in part:
            done, _ = bench.play(name, 0, lambda labels: None)
            assert done.labels.tolist() == [10, 20], name


def test_strangers_and_annotators_see_no_backtest() -> None:
    project = labelled(60, drawn=20)
    assert (
        client_of(project, Role.ANNOTATOR).get(reverse("learning:lab", args=[project.pk])).status_code == 403
    )
    stranger = Client()
    stranger.force_login(make_user())
    assert stranger.get(api(project)).status_code == 404
