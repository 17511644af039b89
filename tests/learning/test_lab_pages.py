"""The strategy lab for people and programs: pages, API, command, who may use it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotator.jobs.models import Job
from annotator.learning import lab, lab_plan, lab_run
from annotator.learning.lab_results import summary
from annotator.learning.models import Backtest, LearningSettings, Round
from annotator.projects.models import Project, Role
from tests.factories import make_user
from tests.learning.lab import QUICK, api, client_of, labelled, planned, play, post
from tests.learning.world import run_jobs, settings_of

pytestmark = pytest.mark.django_db


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


def test_only_a_verdict_makes_the_button_of_use_stand_out_and_it_asks_first() -> None:
    project = labelled(learning={"strategy": "entropy"})
    backtest = planned(project, strategies=["margin", "entropy"])
    client, url = client_of(project), reverse("learning:backtest", args=[project.pk, backtest.pk])

    def shown(seeds: int) -> str:
        for name, area in (("margin", 0.9), ("entropy", 0.7), ("random", 0.7)):
            for seed in range(backtest.runs.filter(name=name).count(), seeds):
                score = area + seed / 1000
                backtest.runs.create(name=name, seed=seed, labels=[10, 20], scores=[score, score])
        Backtest.objects.filter(pk=backtest.pk).update(result=summary(backtest, list(backtest.runs.all())))
        return client.get(url).content.decode()

    early = shown(2)
    assert "Margin replaces Entropy, which is in use." in early
    assert "No verdict here says that it is better." in early
    assert "button--small button--primary" not in early
    decided = shown(5)
    assert decided.count("button--small button--primary") == 1
    use = reverse("learning:backtest-use", args=[project.pk, backtest.pk])
    told = client.post(use, {"name": "random"}, follow=True).content.decode()
    assert "Random is in use. The queue follows" in told


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
    [told] = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (told["line"], told["judges"], told["measured"]) == ("estimate", 120, False)
    assert told["high"] >= told["low"] > 0
    assert not Backtest.objects.exists()
    call_command("backtest", project.pk, **options)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["line"] for line in lines].count("run") == 6
    assert {line["name"] for line in lines if line["line"] == "strategy"} == {"margin", "random"}
    assert [line["decision"] for line in lines if line["line"] == "pair"] == ["equal"]
    assert (lines[-1]["line"], lines[-1]["text"]) == (
        "advice",
        Backtest.objects.get().result["advice"]["text"],
    )
    assert Backtest.objects.get().state == "done"
    with pytest.raises(CommandError, match="complete"):
        call_command("backtest", project.pk, resume=Backtest.objects.get().pk)
    with pytest.raises(CommandError, match="no project"):
        call_command("backtest", 10**9)
    with pytest.raises(CommandError, match="does not fit"):
        call_command("backtest", project.pk, budget=10**6)


@pytest.mark.parametrize("command", [("backtest", 1), ("replay_round", 1, 1)])
def test_without_the_applications_database_the_commands_say_what_to_set(
    command: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: Any, **options: Any) -> None:
        raise OperationalError('connection to server on socket "x" failed\nIs the server running?')

    monkeypatch.setattr(Project.objects, "filter", gone)
    with pytest.raises(CommandError, match=r"Set ANNOTATOR_HOME .*on socket \"x\" failed$"):
        call_command(*command)


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
        bench = lab_run._prepare(backtest, tmp_path)
        for name in part:
            done, _ = bench.play(lab_run.Half(name=name, seed=0), lambda labels: None, lambda: False)
            assert done.labels.tolist() == [10, 20], name


def test_strangers_and_annotators_see_no_backtest() -> None:
    project = labelled(60, drawn=20)
    assert (
        client_of(project, Role.ANNOTATOR).get(reverse("learning:lab", args=[project.pk])).status_code == 403
    )
    stranger = Client()
    stranger.force_login(make_user())
    assert stranger.get(api(project)).status_code == 404
