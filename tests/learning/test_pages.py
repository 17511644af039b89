"""Learning over HTTP: API and pages, who may, what is refused. Web processes stay free of torch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotator.learning import params
from annotator.learning.models import LearningSettings, ModelVersion, Round
from annotator.projects.models import Project, Role
from tests.factories import join, make_user
from tests.learning.world import answer_truly, items_of, make_world, queue_of, run_round

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    project = make_world(40)
    answer_truly(project, join(project), items_of(project)[:12], exploration=True)
    run_round(project)
    return project


def client_of(project: Project, role: str = Role.MANAGER) -> Client:
    client = Client()
    client.force_login(join(project, role))
    return client


def api(project: Project, path: str) -> str:
    return f"/api/v1/projects/{project.pk}/{path}"


def patch(client: Client, project: Project, **values: Any) -> Any:
    return client.patch(api(project, "learning/"), values, content_type="application/json")


def test_a_manager_reads_and_changes_the_settings(project: Project) -> None:
    client = client_of(project)
    assert client.get(api(project, "learning/")).json()["strategy"] == "margin"
    answer = patch(client, project, strategy="entropy", batch_size=5)
    assert answer.status_code == 200, answer.content
    stored = LearningSettings.objects.get(project=project)
    assert (stored.strategy, stored.batch_size) == ("entropy", 5)
    assert stored.strategy_params == answer.json()["strategy_params"] != {}
    assert Round.objects.filter(project=project, state="active").exists()


@pytest.mark.parametrize(
    ("values", "status", "code"),
    [
        ({"strategy": "nonsense"}, 422, "unfit_strategy"),
        ({"cold_strategy": "margin"}, 422, "unfit_strategy"),
        ({"strategy_params": {"temprature": 1}}, 422, "invalid_parameter"),
        ({"encoder": "torchvision"}, 422, "unknown_encoder"),
        ({"encoder_params": {"dim": -5}}, 422, "invalid_parameters"),
        ({"exploration_share": 1.5}, 400, "invalid"),
        ({"seed": 3}, 422, "unknown_setting"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    project: Project, values: dict[str, Any], status: int, code: str
) -> None:
    answer = patch(client_of(project), project, **values)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert LearningSettings.objects.get(project=project).strategy == "margin"


def test_rounds_models_and_health_are_listed(project: Project) -> None:
    client = client_of(project, Role.VIEWER)
    rounds = client.get(api(project, "rounds/")).json()["results"]
    models = client.get(api(project, "models/")).json()["results"]
    assert [round_["state"] for round_ in rounds] == ["published"]
    assert models[0]["in_use"] is True
    assert models[0]["metrics"]["state"] == "measured"
    health = client.get(api(project, "health/")).json()
    assert (health["level"], health["label"], health["model"]) == ("good", "Model 1", 1)
    assert re.fullmatch(
        r"Served: round 1, by Margin, 0.minutes old; utility spread 0\.\d+, \d+ % tied; \d+ % random draws\.",
        health["title"],
    ), health["title"]
    assert health["scored_share"] == 1.0


def test_strategies_and_encoders_describe_themselves(project: Project) -> None:
    client = client_of(project)
    strategies = {found["key"]: found for found in client.get(api(project, "strategies/")).json()}
    assert strategies["margin"]["usable_warm"]
    assert not strategies["margin"]["usable_cold"]
    assert strategies["random"]["usable_cold"]
    encoders = {found["key"]: found for found in client.get(api(project, "encoders/")).json()}
    assert encoders["tfidf"]["state"] == "ready"


def test_predictions_are_paged(project: Project) -> None:
    client = client_of(project)
    first = client.get(api(project, "predictions/"), {"limit": 30}).json()
    rest = client.get(api(project, "predictions/"), {"limit": 30, "after": first["next_after"]}).json()
    assert len(first["results"]) + len(rest["results"]) == 40
    assert rest["next_after"] is None
    assert set(first["results"][0]["classes"]) == {"cat", "dog"}
    assert client.get(api(project, "predictions/"), {"limit": 5000}).status_code == 400


def test_a_round_is_started_once(project: Project) -> None:
    client = client_of(project)
    assert client.post(api(project, "rounds/")).status_code == 202
    again = client.post(api(project, "rounds/"))
    assert (again.status_code, again.json()["code"]) == (409, "round_active")


def test_a_model_is_used_again_by_number(project: Project) -> None:
    client = client_of(project)
    answer = client.post(api(project, "models/1/use/"))
    assert (answer.status_code, answer.json()["trigger"]) == (202, "rollback")
    assert client.post(api(project, "models/77/use/")).status_code == 404


READS = ["learning/", "rounds/", "models/", "health/", "predictions/", "strategies/", "encoders/"]


@pytest.mark.parametrize("path", READS)
def test_annotators_and_strangers_see_nothing(project: Project, path: str) -> None:
    assert client_of(project, Role.ANNOTATOR).get(api(project, path)).status_code == 403
    stranger = Client()
    stranger.force_login(make_user())
    assert stranger.get(api(project, path)).status_code == 404
    assert Client().get(api(project, path)).status_code in {401, 403}


def test_only_managers_change_anything(project: Project) -> None:
    reviewer = client_of(project, Role.REVIEWER)
    assert patch(reviewer, project, batch_size=3).status_code == 403
    assert reviewer.post(api(project, "rounds/")).status_code == 403
    assert reviewer.post(api(project, "models/1/use/")).status_code == 403
    assert reviewer.get(reverse("learning:settings", args=[project.pk])).status_code == 403


def test_the_models_page_shows_measures_and_rolls_back(project: Project) -> None:
    client = client_of(project)
    answer_truly(project, join(project), items_of(project)[12:20])
    run_round(project)
    page = client.get(reverse("learning:models", args=[project.pk])).content.decode()
    assert "In use" in page
    assert "Roll back" in page
    assert "Macro F1" in page
    answer = client.post(reverse("learning:use", args=[project.pk, 1]))
    assert answer.status_code == 302
    assert ModelVersion.objects.get(project=project, in_use=True).number == 1


def test_the_settings_form_follows_the_choice_and_saves(project: Project) -> None:
    client, url = client_of(project), reverse("learning:settings", args=[project.pk])
    page = client.get(url).content.decode()
    assert 'name="encoder-terms"' in page
    assert 'name="strategy-reduction"' not in page  # concerns projects with any number of classes only
    values = {
        "encoder": "tfidf", "strategy": "random", "cold_strategy": "random", "batch_size": "9",
        "retrain_labels": "30", "retrain_minutes": "5", "exploration_share": "0.2", "randomness": "0",
    }  # fmt: skip
    asked = values | {"refresh": "1", "cold_strategy": "typicality"}
    shown = client.post(url, asked, headers={"HX-Request": "true"}).content.decode()
    assert 'name="cold_strategy-neighbours"' in shown
    assert LearningSettings.objects.get(project=project).strategy == "margin"
    assert client.post(url, values).status_code == 302
    stored = LearningSettings.objects.get(project=project)
    assert (stored.strategy, stored.batch_size, stored.exploration_share) == ("random", 9, 0.2)
    assert client.post(url, values | {"batch_size": "0"}).status_code == 422


def test_parameters_of_multi_label_strategies_show_in_multi_label_projects() -> None:
    project = make_world(5, task="multi")
    page = client_of(project).get(reverse("learning:settings", args=[project.pk])).content.decode()
    assert 'name="strategy-reduction"' in page


def test_the_badge_says_when_there_is_no_model() -> None:
    project = make_world(5, learning={"cold_strategy": "random"})
    run_round(project)
    assert len(queue_of(project)) == 5
    page = client_of(project).get(reverse("learning:health", args=[project.pk])).content.decode()
    assert "No model yet" in page


def test_parameters_become_fields_and_back() -> None:
    schemas: dict[str, dict[str, Any]] = {
        "k": {"type": "integer", "default": 3, "minimum": 1, "title": "K"},
        "mode": {"type": "string", "enum": ["a", "b"], "default": "a", "title": "Mode"},
        "on": {"type": "boolean", "default": True, "title": "On"},
        "rate": {"type": "number", "default": 0.5, "title": "Rate"},
        "name": {"type": "string", "default": "x", "title": "Name"},
    }
    fields = params.fields_of("p", schemas, {"k": 7})
    assert fields["p-k"].initial == 7
    cleaned = {
        "p-k": fields["p-k"].clean("4"),
        "p-mode": fields["p-mode"].clean("b"),
        "p-on": False,
        "p-rate": None,
        "p-name": "",
    }
    assert params.values_of("p", schemas, cleaned) == {
        "k": 4,
        "mode": "b",
        "on": False,
        "rate": 0.5,
        "name": "",
    }


def test_web_processes_do_not_load_torch() -> None:
    code = (
        "import sys, django; django.setup(); import annotator.urls;"
        "from annotator.learning import catalogue; catalogue.encoders('text'); catalogue.encoders('image');"
        "from annotator.learning import tasks; sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
