"""The strategy lab, the evidence and the preview in a browser: by keyboard, in the dark, and on a telephone."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from acquisition.compose import exploration_order
from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.learning.lab_results import summary
from annotator.learning.models import Backtest, BacktestRun, Evidence, LearningSettings
from annotator.projects.models import Project, Role
from tests.e2e.test_dashboard import in_a_worker
from tests.e2e.test_screens import contrasts, focused, luminance, tab_through
from tests.factories import join
from tests.learning.world import answer_truly, items_of, make_world, run_round, settings_of

pytestmark = pytest.mark.django_db(transaction=True)


def labelled(**learning: Any) -> Project:
    """A project whose first hundred exploration draws are answered."""
    project = make_world(140, learning=learning)
    items = {item.row: item for item in items_of(project)}
    order = exploration_order(settings_of(project).seed, np.array(sorted(items), dtype=np.int64))
    answer_truly(project, join(project), [items[row] for row in order[:100].tolist()], exploration=True)
    return project


def finished(project: Project) -> Backtest:
    """A backtest with a clear winner, as the worker would leave it."""
    settings = {
        "strategies": [
            {"name": name, "key": name, "title": name.title(), "params": {}} for name in ("margin", "entropy", "random")
        ],
        "seeds": 5, "block": 5, "budget": 40, "batch": 10, "pool": "all", "in_use": "entropy",
    }  # fmt: skip
    settings["strategies"][0]["params"] = {"reduction": "mean", "top_k": 3}  # type: ignore[index]
    facts = {
        "labels": 100,
        "of": 100,
        "judges": 100,
        "how": "random",
        "chosen": 0,
        "pool": 50,
        "held_out": 50,
    }
    backtest = Backtest.objects.create(
        project=project, settings=settings, facts=facts, data=b"x", seed=1, finished_at="2026-01-01T00:00:00Z"
    )
    for place, name in enumerate(("margin", "entropy", "random")):
        for seed in range(5):
            scores = [round(0.5 + 0.1 * step - 0.05 * place + seed / 500, 4) for step in range(4)]
            BacktestRun.objects.create(
                backtest=backtest,
                name=name,
                seed=seed,
                labels=[10, 20, 30, 40],
                scores=scores,
                held_out=50,
                seconds=1.0,
            )
    backtest.result = summary(backtest, list(backtest.runs.all()))
    backtest.save()
    return backtest


def with_evidence(project: Project) -> None:
    points = [
        {"x": 20 * n, "y": 0.5 + n / 20, "low": 0.45 + n / 20, "high": 0.55 + n / 20} for n in range(1, 6)
    ]
    ahead = [point | {"y": point["y"] + 0.1, "high": point["high"] + 0.1} for point in points]
    interval = {"value": 0.006, "low": 0.002, "high": 0.012}
    Evidence.objects.create(
        project=project, n_labels=400, n_random=260, strategy="margin",
        result={
            "helping": {
                "state": "saved", "n_random": 260, "saved": {"value": 60, "low": 20, "high": 90}, "needed": 0,
                "level": {"accuracy": 0.75, "random": 100, "served": 40}, "random": points, "served": ahead,
            },
            "stopping": {
                "criteria": [
                    {"key": "plateau", "met": False, "rise": 0.02, "since": 120},
                    {"key": "settled", "met": True, "agreement": 0.993},
                    {"key": "forecast", "met": False},
                ],
                "points": [{"labels": 400, "accuracy": 0.8, "n": 260}], "seconds": 6.0, "advice": "go_on",
                "forecast": {"labels": 400, "gain": interval, "law": [2, 0.4, 0.0, 0.9], "resamples": [[2, 0.4, 0.0, 0.9]] * 5},
            },
            "estimates": {
                "rows": [{"kind": "accuracy", "name": "Accuracy", "naive": 0.7, "random": interval, "weighted": interval}],
                "labels": 400, "random": 260, "logged": 300, "effective": 120.0, "items": 1000,
            },
        },
    )  # fmt: skip


def test_a_backtest_from_the_choice_to_the_strategy_in_use(people):
    project = labelled(strategy="entropy")
    anna = people(project.created_by)
    page = anna.open("learning:lab", project.pk)
    takes = page.locator("#lab-takes")
    expect(takes).to_contain_text("Takes about")
    page.get_by_label("Labels to replay").fill("4000")
    page.get_by_label("Labels between two fits").click()
    expect(takes).to_contain_text("labels can be replayed")
    page.get_by_label("Labels to replay").fill("30")
    page.get_by_label("Labels between two fits").fill("10")
    page.get_by_label("Seeds").select_option("3")
    expect(takes).to_contain_text("Takes about")
    anna.picture("lab")
    page.get_by_role("button", name="Start the backtest").click()
    expect(page.get_by_role("heading", name=re.compile("^Backtest"))).to_be_visible()
    expect(page.locator("#backtest")).to_contain_text("said before")
    job = Job.objects.get(project=project, kind="backtest")
    in_a_worker(run_job, job.pk)
    anna.hear({"type": "backtest", "id": Backtest.objects.get().pk, "finished": True})
    expect(page.locator("#backtest")).to_contain_text("Pair by pair")
    expect(page.locator("[data-chart=line] canvas")).to_be_visible()
    anna.picture("backtest")
    page.get_by_role("button", name=re.compile("Use this one.*Margin")).click()
    page.get_by_role("dialog", name="Use Margin?").get_by_role("button", name="Use this one").click()
    expect(page.locator("#toasts")).to_contain_text("Margin is in use")
    anna.until(lambda: LearningSettings.objects.get(project=project).strategy == "margin")


def test_by_keyboard_alone_one_switches_to_the_best_strategy(people):
    project = labelled(strategy="entropy")
    backtest = finished(project)
    anna = people(project.created_by)
    page = anna.open("learning:backtest", project.pk, backtest.pk)
    expect(page.locator("#backtest")).to_contain_text("Margin is better than Random.")
    expect(page.get_by_role("row", name=re.compile("Margin – Random"))).to_contain_text("1")
    for _ in range(60):
        anna.press("Tab")
        if focused(anna)["name"].startswith("Use this one"):
            break
    assert focused(anna)["visible"]
    anna.press("Enter")
    asked = page.get_by_role("dialog", name="Use Margin?")
    expect(asked).to_contain_text("Margin replaces Entropy")
    while focused(anna)["name"] != "Use this one":
        anna.press("Tab")
    anna.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("is in use")
    anna.until(lambda: LearningSettings.objects.get(project=project).strategy == "margin")


def test_the_curves_of_a_backtest_can_be_read_as_numbers(people):
    project = labelled()
    backtest = finished(project)
    anna = people(join(project, Role.VIEWER))
    page = anna.open("learning:backtest", project.pk, backtest.pk)
    chart = page.locator("[data-chart=line]")
    chart.get_by_text("Show as a table").click()
    expect(chart.get_by_role("row", name=re.compile("^40 80.4 %"))).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Use this one"))).to_have_count(0)


def test_the_evidence_answers_and_can_be_asked(people):
    project = labelled()
    in_a_worker(run_round, project)
    with_evidence(project)
    anna = people(project.created_by)
    page = anna.open("workspace:dashboard", project.pk)
    expect(page.locator("#evidence")).to_contain_text("Saved about 60 labels (20 to 90)")
    page.get_by_role("link", name="All the evidence").click()
    expect(page.get_by_role("heading", name="When to stop")).to_be_visible()
    expect(page.locator("[data-chart=line] canvas")).to_be_visible()
    page.get_by_label("How many labels for an accuracy of").fill("85")
    anna.press("Enter")
    expect(page.locator("#evidence")).to_contain_text("more labels")
    expect(page.locator("#evidence")).to_contain_text("hours of work")
    anna.picture("evidence")
    page.get_by_role("button", name="Measure now").click()
    expect(page.locator("#evidence")).to_contain_text("Measuring")
    anna.until(lambda: Job.objects.filter(project=project, kind="evidence").exists())


def test_another_strategy_is_previewed_without_changing_the_queue(people):
    project = labelled()
    in_a_worker(run_round, project)
    anna = people(project.created_by)
    page = anna.open("learning:whatif", project.pk)
    expect(page.locator("#whatif-result")).to_contain_text("No preview yet")
    page.get_by_label("Strategy").select_option("typicality")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#whatif-result")).to_contain_text("Preview of")
    job = Job.objects.get(project=project, kind="whatif")
    in_a_worker(run_job, job.pk)
    anna.hear({"type": "job", "id": job.pk})
    expect(page.locator("#whatif-result")).to_contain_text("are among the next")
    anna.picture("what-if")


SCREENS = ("learning:lab", "learning:evidence", "learning:backtest", "learning:whatif")


def show(anna: Any, project: Project, name: str) -> None:
    backtest = finished(project)
    with_evidence(project)
    arguments = [project.pk, backtest.pk] if name == "learning:backtest" else [project.pk]
    anna.open(name, *arguments)
    if name in ("learning:evidence", "learning:backtest"):
        expect(anna.page.locator("[data-chart=line] canvas")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", SCREENS)
def test_both_themes_can_be_read(people, name, scheme):
    project = labelled()
    anna = people(project.created_by, color_scheme=scheme)
    show(anna, project, name)
    picture = anna.picture(f"{name.split(':')[1]}-{scheme}")
    assert (luminance(picture) < 100) == (scheme == "dark")
    low = {selector: round(value, 2) for selector, value in contrasts(anna).items() if value < 4.5}
    assert not low


@pytest.mark.parametrize("name", SCREENS)
def test_a_telephone_shows_everything_without_sideways_scrolling(people, name):
    project = labelled()
    anna = people(project.created_by, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    show(anna, project, name)
    anna.picture(f"{name.split(':')[1]}-390")
    assert anna.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_tab_reaches_every_choice_of_the_lab_and_the_focus_is_seen(people):
    project = labelled()
    anna = people(project.created_by)
    anna.open("learning:lab", project.pk)
    reached = tab_through(anna, most=80)
    names = [each["name"] for each in reached]
    for wanted in (
        "Strategy lab",
        "What if",
        "Seeds",
        "Labels to replay",
        "Start the backtest",
        "Say how long",
    ):
        assert any(name.startswith(wanted) for name in names), (wanted, names)
    assert [each for each in reached if not each["visible"]] == []
