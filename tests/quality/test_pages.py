"""Pages of quality: what a reviewer sees, what a manager sets."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from django.test import Client
from django.urls import reverse

from annotator.accounts.models import User
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.projects.models import Project, Role
from annotator.quality.models import Case, Check, GoldItem, QualitySettings
from annotator.quality.report import make_report
from annotator.quality.services import add_gold
from tests.factories import join, make_items, make_project
from tests.quality.people import vote

pytestmark = pytest.mark.django_db


class Config(HTMLParser):
    value = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.value = dict(attrs).get("data-config") or self.value


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(project: Project, name: str = "overview", user: User | None = None) -> str:
    answer = client_of(user or project.created_by).get(reverse(f"quality:{name}", args=[project.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def disputed() -> Project:
    project = make_project(overlap=2)
    people = [join(project, user=None) for _ in range(2)]
    for n, item in enumerate(make_items(project, 6)):
        vote(project, item, "cat" if n % 2 else "dog", "cat", people=people)
    return project


def test_before_anything_was_counted_the_page_says_so() -> None:
    text = page(make_project())
    assert "Nothing was counted yet." in text
    assert "Adjudicate" in text


def test_the_page_shows_agreement_people_and_confusions() -> None:
    project = disputed()
    make_report(project)
    Check.objects.create(project=project, item=project.items.first(), kind="drift", position=0, score=0.0)
    text = page(project, user=join(project, Role.REVIEWER))
    assert "alpha" in text
    assert "Cat and Dog" in text
    assert "1 from people in decline" in text
    assert f'href="{reverse("quality:gold", args=[project.pk])}"' not in text, "gold is for managers"


def test_of_two_people_the_page_says_that_nobody_can_be_blamed() -> None:
    project = disputed()
    make_report(project)
    text = page(project)
    assert "who errs cannot be told from agreement alone" in text
    assert "Borne out by others" in text
    third = join(project)
    for item in project.items.all():
        vote(project, item, "cat", people=[third])
    make_report(project)
    assert "who errs cannot be told" not in page(project)


def test_the_tile_of_gold_and_the_people_are_of_one_count() -> None:
    project = make_project()
    anna, ben = join(project), join(project)
    items = make_items(project, 3)
    for item in items:
        add_gold(project=project, item_id=item.pk, classes=["cat"], by=None)
    make_report(project)
    for item in items:
        vote(project, item, "cat", "dog", people=[anna, ben])
    assert "of 6 right" not in page(project), "nobody has counted these answers yet"
    make_report(project)
    text = page(project)
    assert '3 <span class="stat__unit">of 6 right' in text
    assert "Counted <time" in text


def test_that_figures_are_being_counted_is_said_once() -> None:
    project = make_project()
    answer = client_of(project.created_by).post(reverse("quality:renew", args=[project.pk]), follow=True)
    assert answer.content.decode().count("The figures are being counted anew.") == 1


def test_a_report_about_somebody_who_left_still_shows() -> None:
    project = disputed()
    report = make_report(project)
    report.data["people"][0]["user"] = 10**6
    report.save()
    assert "somebody" in page(project)


def test_settings_are_stored_and_counted_anew() -> None:
    project = make_project()
    client = client_of(project.created_by)
    url = reverse("quality:settings", args=[project.pk])
    values = {
        "method": "one_coin",
        "threshold": "0.6",
        "gold_share": "0.05",
        "check_share": "0",
        "max_labels": "4",
    }
    assert client.post(url, values).status_code == 302
    stored = QualitySettings.objects.get(project=project)
    assert (stored.method, stored.gold_share, stored.choose_annotators) == ("one_coin", 0.05, False)
    assert Job.objects.filter(kind="quality", project=project).exists()
    refused = client.post(url, values | {"gold_share": "0.8"})
    assert (refused.status_code, QualitySettings.objects.get().gold_share) == (422, 0.05)


def test_looking_makes_no_settings() -> None:
    project = make_project()
    for name in ("overview", "settings", "gold", "adjudicate"):
        page(project, name)
    assert not QualitySettings.objects.exists()


def test_counting_anew_is_a_job() -> None:
    project = make_project()
    answer = client_of(join(project, Role.REVIEWER)).post(reverse("quality:renew", args=[project.pk]))
    assert answer.status_code == 302
    assert Job.objects.filter(kind="quality").count() == 1


def test_gold_is_added_by_id_and_removed() -> None:
    project = make_project()
    [item] = make_items(project, 1)
    client = client_of(project.created_by)
    url = reverse("quality:gold", args=[project.pk])
    assert client.post(url, {"external_id": item.external_id, "classes": "dog"}).status_code == 302
    assert GoldItem.objects.get().classes == ["dog"]
    text = page(project, "gold")
    assert item.external_id in text
    assert "The gold share is zero" in text
    assert client.post(url, {"external_id": "nowhere", "classes": "dog"}).status_code == 422
    client.post(reverse("quality:remove_gold", args=[project.pk, item.pk]))
    assert not GoldItem.objects.exists()


def test_held_out_items_are_refused_in_words() -> None:
    project = make_project()
    [item] = make_items(project, 1, split=Item.Split.TEST)
    url = reverse("quality:gold", args=[project.pk])
    answer = client_of(project.created_by).post(url, {"external_id": item.external_id, "classes": "dog"})
    assert answer.status_code == 422
    assert b"Held-out items" in answer.content


def test_gold_of_several_classes_may_be_none_of_them() -> None:
    project = make_project(task="multi")
    [item] = make_items(project, 1)
    url = reverse("quality:gold", args=[project.pk])
    assert client_of(project.created_by).post(url, {"external_id": item.external_id}).status_code == 302
    assert "nothing applies" in page(project, "gold")


def test_the_adjudication_screen_knows_classes_and_what_the_person_may() -> None:
    project = make_project()
    for user, may in ((project.created_by, True), (join(project, Role.REVIEWER), False)):
        parser = Config()
        parser.feed(page(project, "adjudicate", user))
        config = json.loads(parser.value)
        assert config["canGold"] is may
        assert config["api"] == reverse("api:quality", args=[project.pk])
        assert [label["key"] for label in config["schema"]["classes"]] == ["cat", "dog"]


def test_the_navigation_leads_there_for_those_who_may() -> None:
    project = make_project()
    link = reverse("quality:overview", args=[project.pk])
    for role, may in ((Role.REVIEWER, True), (Role.ANNOTATOR, False), (Role.VIEWER, False)):
        answer = client_of(join(project, role)).get(reverse("workspace:dashboard", args=[project.pk]))
        assert (f'href="{link}"' in answer.content.decode()) is may, role


def test_a_case_that_was_decided_is_no_longer_counted() -> None:
    project = disputed()
    make_report(project)
    assert Case.objects.count() == 3
    client = client_of(project.created_by)
    case = Case.objects.first()
    assert case is not None
    client.post(
        reverse("api:quality_decisions", args=[project.pk]),
        {"item": case.item_id, "classes": ["cat"]},
        content_type="application/json",
    )
    assert "1 decided" in page(project)
