"""Presets and compositions on the settings page and in the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from acquisition.registry import PluginFailure
from annotator.learning import catalogue
from annotator.learning.models import LearningSettings, Round
from annotator.projects.models import Project, Role
from tests.factories import join
from tests.learning.world import answer_truly, items_of, make_world

pytestmark = pytest.mark.django_db

COMMON = {
    "encoder": "tfidf", "batch_size": "9", "retrain_labels": "30", "retrain_minutes": "5", "exploration_share": "0.2",
    "randomness": "0",
}  # fmt: skip
OWN = COMMON | {"preset": "", "strategy": "margin", "cold_strategy": "random", "cold_labels": "3"}


@pytest.fixture
def project() -> Project:
    project = make_world(20, learning={"preset": "automatic"})
    answer_truly(project, join(project), items_of(project)[:6])
    return project


@pytest.fixture
def client(project: Project) -> Client:
    client = Client()
    client.force_login(join(project, Role.MANAGER))
    return client


def url_of(project: Project) -> str:
    return reverse("learning:settings", args=[project.pk])


def stored(project: Project) -> LearningSettings:
    return LearningSettings.objects.get(project=project)


def patch(client: Client, project: Project, **values: Any) -> Any:
    url = f"/api/v1/projects/{project.pk}/learning/"
    return client.patch(url, values, content_type="application/json")


def test_plug_ins_that_were_left_out_are_named_with_the_reason(
    client: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = PluginFailure(
        "oldest", "some-package", "Importing oldest took longer than 30 s, so it is left out."
    )
    assert "is left out" not in client.get(url_of(project)).content.decode()
    monkeypatch.setattr(catalogue, "failed_plug_ins", lambda: (failed,))
    page = client.get(url_of(project)).content.decode()
    assert "The strategy oldest of some-package is left out" in page
    assert failed.error in page


def test_a_preset_shows_its_advice_its_parameters_and_what_it_means(client: Client, project: Project) -> None:
    page = client.get(url_of(project)).content.decode()
    assert 'name="preset-labels_per_class"' in page
    assert "Use it unless you know better" in page
    assert "Begins with Typicality (TypiClust) until 20 labels" in page
    assert 'name="strategy"' not in page
    assert 'name="composition-balance"' not in page


def test_another_preset_shows_its_own_parameters_before_it_is_saved(client: Client, project: Project) -> None:
    asked = COMMON | {"preset": "rare_classes", "refresh": "1"}
    shown = client.post(url_of(project), asked, headers={"HX-Request": "true"}).content.decode()
    assert 'name="preset-candidates"' in shown
    assert "then Margin, balanced" in shown
    assert stored(project).preset == "automatic"


def test_a_preset_is_saved_and_ones_own_choice_stays_for_later(client: Client, project: Project) -> None:
    values = COMMON | {"preset": "rare_classes", "preset-labels_per_class": "4", "preset-candidates": "0.3"}
    assert client.post(url_of(project), values).status_code == 302
    settings = stored(project)
    assert (settings.preset, settings.preset_params) == (
        "rare_classes",
        {"labels_per_class": 4, "candidates": 0.3},
    )
    assert settings.strategy == "margin"
    assert Round.objects.filter(project=project, state="active").exists()
    assert client.post(url_of(project), values | {"preset-candidates": "7"}).status_code == 422


def test_ones_own_choice_can_be_combined(client: Client, project: Project) -> None:
    shown = client.post(url_of(project), OWN | {"refresh": "1"}).content.decode()
    for name in (
        "strategy",
        "cold_strategy",
        "cold_labels",
        "times",
        "times_strength",
        "composition-balance",
    ):
        assert f'name="{name}"' in shown, name
    values = OWN | {
        "times": "typicality",
        "times_strength": "0.5",
        "composition-balance": "on",
        "composition-balance_candidates": "0.2",
        "composition-max_similarity": "0.95",
        "item_filter": "lang=de",
    }
    assert client.post(url_of(project), values).status_code == 302
    settings = stored(project)
    assert (settings.preset, settings.cold_labels, settings.item_filter) == ("", 3, "lang=de")
    assert settings.composition["options"] == {
        "balance": True, "balance_candidates": 0.2, "max_similarity": 0.95,
    }  # fmt: skip
    [term] = settings.composition["terms"]
    assert (term["strategy"], term["strength"]) == ("typicality", 0.5)
    page = client.get(url_of(project)).content.decode()
    assert "<details" in page
    assert " open" in page
    assert client.post(url_of(project), OWN).status_code == 302
    assert stored(project).composition == {}


def test_further_terms_made_over_the_api_survive_the_form(client: Client, project: Project) -> None:
    terms = [{"strategy": "typicality", "params": {"neighbours": 7}}, {"strategy": "entropy", "strength": 2}]
    assert patch(client, project, composition={"terms": terms}).status_code == 200
    assert (
        client.post(url_of(project), OWN | {"times": "typicality", "times_strength": "3"}).status_code == 302
    )
    first, second = stored(project).composition["terms"]
    assert (first["params"]["neighbours"], first["strength"]) == (7, 3.0)
    assert (second["strategy"], second["strength"]) == ("entropy", 2.0)


@pytest.mark.parametrize(
    "bad", [{"item_filter": "lang"}, {"times_strength": "99"}, {"composition-min_confidence": "2"}]
)
def test_what_cannot_be_is_said_on_the_form(client: Client, project: Project, bad: dict[str, str]) -> None:
    answer = client.post(url_of(project), OWN | {"times": "kmeans"} | bad)
    assert answer.status_code == 422
    assert stored(project).preset == "automatic"


def test_presets_and_options_are_listed_with_what_they_mean_here(client: Client, project: Project) -> None:
    found = client.get(f"/api/v1/projects/{project.pk}/presets/").json()
    presets = {one["key"]: one for one in found["results"]}
    assert next(iter(presets)) == "automatic"
    assert {"rare_classes", "many_outliers", "noisy_annotators", "tight_budget"} <= set(presets)
    assert presets["rare_classes"]["then"][0]["options"] == {"balance": True}
    assert presets["automatic"]["labels_per_class"] == 10
    assert found["outlook"].startswith("Begins with")
    assert found["composition_options"]["balance"]["type"] == "boolean"


@pytest.mark.parametrize(
    ("values", "status", "code"),
    [
        ({"preset": "magic"}, 422, "unknown_strategy"),
        ({"preset_params": {"speed": 1}}, 422, "invalid_parameter"),
        ({"preset_params": 3}, 400, "invalid"),
        ({"composition": []}, 400, "invalid"),
        ({"composition": {"terms": [3]}}, 422, "invalid_parameter"),
        ({"composition": {"options": {"cost_exponent": 99}}}, 422, "invalid_parameter"),
        ({"item_filter": "a=b=c"}, 422, "invalid_filter"),
        ({"cold_labels": -1}, 400, "invalid"),
    ],
)
def test_the_api_refuses_what_cannot_be(
    client: Client, project: Project, values: dict[str, Any], status: int, code: str
) -> None:
    answer = patch(client, project, **values)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert stored(project).preset == "automatic"


def test_naming_a_strategy_over_the_api_turns_the_preset_off(client: Client, project: Project) -> None:
    answer = patch(client, project, strategy="entropy")
    assert (answer.json()["preset"], answer.json()["preset_params"]) == ("", {})
    answer = patch(client, project, preset="tight_budget")
    assert answer.json()["preset_params"]["labels_per_class"] == 20
    assert answer.json()["strategy"] == "entropy"


def test_strategies_say_which_package_they_come_from(client: Client, project: Project) -> None:
    found = {
        one["key"]: one["source"] for one in client.get(f"/api/v1/projects/{project.pk}/strategies/").json()
    }
    assert found["margin"] == ""
    if "modal:margin_sampling" in found:
        assert found["modal:margin_sampling"] == "modAL-python"
