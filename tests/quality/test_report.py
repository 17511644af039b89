"""The figures that a worker counts."""

from __future__ import annotations

import pytest

from annotator.accounts.models import User
from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.labeling.models import Annotation
from annotator.projects.models import Project
from annotator.quality import services, tasks
from annotator.quality.models import Case, QualitySettings, Report
from annotator.quality.report import make_report
from tests.factories import join, make_items, make_project
from tests.learning.world import answer
from tests.quality.people import vote

assert tasks  # registers the handler of the job

pytestmark = pytest.mark.django_db


def disagreeing(items: int = 30, **fields: object) -> tuple[Project, list[object]]:
    """Two people who are right and a third who is wrong every third time."""
    project = make_project(overlap=3, **fields)
    people = [join(project) for _ in range(3)]
    for n, item in enumerate(make_items(project, items)):
        right, wrong = ("cat", "dog") if n % 2 else ("dog", "cat")
        vote(project, item, right, right, wrong if n % 3 == 0 else right, people=people)
    return project, people


@pytest.mark.parametrize("method", QualitySettings.Method.values)
def test_people_are_told_apart_by_every_method(method: str) -> None:
    project, people = disagreeing()
    QualitySettings.objects.create(project=project, method=method)
    data = make_report(project).data
    by_user = {person["user"]: person for person in data["people"]}
    good, bad = by_user[people[0].pk]["reliability"], by_user[people[2].pk]["reliability"]
    assert good["value"] > bad["value"] + 0.1
    assert bad["low"] < bad["value"] < bad["high"]
    assert bad["value"] == pytest.approx(2 / 3, abs=0.05)
    assert (data["answers"], data["items"], data["items_shared"], data["undecided"]) == (90, 30, 30, 0)


def a_pair(items: int = 60) -> tuple[Project, int, int]:
    """Two people who share all items; the second, who answers less, is wrong every fourth time."""
    project = make_project(overlap=2)
    good, bad = join(project), join(project)
    for n, item in enumerate(make_items(project, items)):
        right, wrong = ("cat", "dog") if n % 2 else ("dog", "cat")
        vote(project, item, right, wrong if n % 4 == 0 else right, people=[good, bad])
    return project, good.pk, bad.pk


@pytest.mark.parametrize("method", QualitySettings.Method.values)
def test_of_two_people_agreement_does_not_tell_who_errs(method: str) -> None:
    project, good, bad = a_pair()
    QualitySettings.objects.create(project=project, method=method, choose_annotators=True)
    data = make_report(project).data
    by_user = {person["user"]: person for person in data["people"]}
    assert by_user[good]["reliability"] == by_user[bad]["reliability"]
    assert by_user[good]["reliability"]["value"] == pytest.approx(0.75)
    assert not data["attributable"]
    assert sorted(data["chosen"]) == sorted([good, bad])


def test_of_two_people_gold_tells_who_errs() -> None:
    project, good, bad = a_pair()
    for item in make_items(project, 40):
        services.add_gold(project=project, item_id=item.pk, classes=["cat"], by=None)
        vote(project, item, "cat", "dog", people=[User.objects.get(pk=good), User.objects.get(pk=bad)])
    data = make_report(project).data
    assert data["attributable"]
    assert data["chosen"] == [good]


def test_agreement_and_confusions_are_counted() -> None:
    project, _ = disagreeing()
    data = make_report(project).data
    # Ten of thirty items have one of three answers apart: 20 of 90 pairs.
    assert data["pairs_agree"] == pytest.approx(70 / 90)
    assert data["alpha"]["low"] < data["alpha"]["value"] < data["alpha"]["high"]
    assert data["confusions"] == [{"classes": ["cat", "dog"], "n": 20}]


def test_disagreements_become_cases_and_agreement_ends_them() -> None:
    project, people = disagreeing(items=6)
    make_report(project)
    cases = Case.objects.order_by("item__row")
    assert [(case.item.row, case.agreement, case.votes) for case in cases] == [
        (0, pytest.approx(2 / 3), 3),
        (3, pytest.approx(2 / 3), 3),
    ]
    Annotation.objects.filter(item__row=0, annotator=people[2]).update(
        regions=[{"kind": "choice", "classes": ["dog"]}]
    )
    services.decide(project=project, item_id=cases[1].item_id, classes=["cat"], by=project.created_by)
    make_report(project)
    assert not Case.objects.exists()


def test_gold_is_held_against_people() -> None:
    project = make_project()
    right, wrong = join(project), join(project)
    for item in make_items(project, 5):
        services.add_gold(project=project, item_id=item.pk, classes=["cat"], by=None)
        vote(project, item, "cat", "dog", people=[right, wrong])
    data = make_report(project).data
    gold = {person["user"]: person["gold"] for person in data["people"]}
    assert (gold[right.pk]["value"], gold[wrong.pk]["value"], gold[right.pk]["n"]) == (1.0, 0.0, 5)
    assert gold[right.pk]["low"] < 1.0


def test_people_without_company_have_no_reliability() -> None:
    project = make_project()
    vote(project, make_items(project, 1)[0], "cat")
    [person] = make_report(project).data["people"]
    assert (person["reliability"]["value"], person["chosen"]) == (None, True)


def test_several_classes_at_once_are_counted_too() -> None:
    project = make_project(classes=("a", "b", "c"), task="multi", overlap=2)
    anna, ben = join(project), join(project)
    for n, item in enumerate(make_items(project, 8)):
        answer(project, anna, item, "a", *("b" if n % 2 else "c"))
        answer(project, ben, item, "a", *("b" if n % 4 else "c"))
    data = make_report(project).data
    assert 0 < data["alpha"]["value"] < 1
    assert all(person["reliability"]["n"] == 8 for person in data["people"])
    assert Case.objects.count() == 2


def test_a_project_without_answers_has_a_report_all_the_same() -> None:
    data = make_report(make_project()).data
    assert (data["alpha"]["value"], data["people"], data["cost"]["hours_left"]) == (None, [], None)


def test_time_left_is_what_missing_labels_take() -> None:
    project = make_project(overlap=2)
    items = make_items(project, 10)
    for item in items[:4]:
        vote(project, item, "cat")
    Annotation.objects.update(seconds=3.0)
    cost = make_report(project).data["cost"]
    assert (cost["missing"], cost["seconds"]) == (16, pytest.approx(3.0))
    assert cost["hours_left"] == pytest.approx(16 * 3 / 3600, abs=1e-3)


def test_the_job_counts_and_can_run_twice() -> None:
    project, _ = disagreeing(items=3)
    job = services.start_report(project.pk)
    assert services.start_report(project.pk).pk == job.pk
    run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.result) == (Job.State.SUCCEEDED, {"answers": 9})
    run_job(services.start_report(project.pk).pk)
    assert Report.objects.count() == 1
