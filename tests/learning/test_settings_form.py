"""The settings form while somebody is choosing: what it fills in, what it says, how it fails."""

from __future__ import annotations

import re

import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from acquisition import registry
from annotator.learning import catalogue, selectors
from annotator.learning.forms import SettingsForm
from annotator.learning.lab_data import Counts
from annotator.learning.lab_forms import LabForm
from annotator.learning.models import LearningSettings
from annotator.projects.models import Project, Role
from tests.factories import join
from tests.learning.world import answer_truly, items_of, make_world, run_round

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


def settings_of(project: Project) -> LearningSettings:
    return LearningSettings.objects.get(project=project)


def client_of(project: Project) -> Client:
    client = Client()
    client.force_login(join(project, Role.MANAGER))
    return client


def url_of(project: Project) -> str:
    return reverse("learning:settings", args=[project.pk])


def drawn(project: Project, values: dict[str, str]) -> SettingsForm:
    """The form as it is drawn again after one of its choices was changed."""
    data = QueryDict(mutable=True)
    data.update(values | {"refresh": "1"})
    return SettingsForm(data, instance=settings_of(project), draft=True)


def ticked(page: str, name: str) -> bool:
    [box] = re.findall(rf'<input[^>]*name="{name}"[^>]*>', page)
    return " checked" in box


class TestParametersOfANewChoice:
    def test_the_usual_ones_are_filled_in_whatever_their_type(self, project: Project) -> None:
        changed = OWN | {"drawn-strategy": "margin", "strategy": "core_set", "strategy-reduction": "max"}
        page = client_of(project).post(url_of(project), changed | {"refresh": "1"}).content.decode()
        assert ticked(page, "strategy-normalise")
        form = drawn(project, OWN | {"drawn-cold_strategy": "random", "cold_strategy": "typicality"})
        assert form["cold_strategy-neighbours"].value() == "20"
        preset = drawn(
            project,
            COMMON | {"drawn-preset": "automatic", "preset": "tight_budget", "preset-start": "kmeans"},
        )
        assert preset["preset-labels_per_class"].value() == "20"
        assert preset["preset-max_similarity"].value() == "0.97"

    def test_what_was_typed_stays(self, project: Project) -> None:
        form = drawn(project, OWN | {"cold_strategy": "typicality", "cold_strategy-neighbours": "7"})
        assert form["cold_strategy-neighbours"].value() == "7"
        page = client_of(project).post(url_of(project), OWN | {"strategy": "core_set", "refresh": "1"})
        assert not ticked(page.content.decode(), "strategy-normalise")

    def test_a_box_that_nobody_saw_is_not_saved_as_cleared(self, project: Project) -> None:
        changed = OWN | {"drawn-strategy": "margin", "strategy": "core_set"}
        assert client_of(project).post(url_of(project), changed).status_code == 302
        assert settings_of(project).strategy_params["normalise"] is True
        assert (
            client_of(project).post(url_of(project), changed | {"drawn-strategy": "core_set"}).status_code
            == 302
        )
        assert settings_of(project).strategy_params["normalise"] is False


class TestOnesOwnChoice:
    def test_it_begins_with_what_the_preset_decides_and_without_errors(self, project: Project) -> None:
        asked = COMMON | {"drawn-preset": "automatic", "preset": "", "preset-labels_per_class": "7"}
        form = drawn(project, asked | {"preset-start": "kmeans"})
        assert (form["strategy"].value(), form["cold_strategy"].value()) == ("margin", "kmeans")
        assert form["cold_labels"].value() == "7"
        page = client_of(project).post(url_of(project), asked | {"refresh": "1"}).content.decode()
        assert "This field is required" not in page
        assert "field--error" not in page
        assert settings_of(project).preset == "automatic"

    def test_a_number_that_was_wiped_out_is_the_usual_one(self, project: Project) -> None:
        form = drawn(
            project, COMMON | {"drawn-preset": "automatic", "preset": "", "preset-labels_per_class": ""}
        )
        assert (form["strategy"].value(), form["cold_labels"].value()) == ("margin", "10")

    def test_what_the_preset_combines_is_taken_over_too(self, project: Project) -> None:
        form = drawn(project, COMMON | {"drawn-preset": "tight_budget", "preset": ""})
        assert (form["times"].value(), form["times_strength"].value()) == ("typicality", "0.5")
        assert form["composition-max_similarity"].value() == "0.97"
        assert form["cold_labels"].value() == "20"
        balanced = drawn(project, COMMON | {"drawn-preset": "rare_classes", "preset": ""})
        assert balanced["composition-balance"].value() is True

    def test_ones_own_earlier_choice_is_kept_while_presets_are_looked_at(self, project: Project) -> None:
        LearningSettings.objects.filter(project=project).update(
            preset="", strategy="entropy", cold_strategy="random", cold_labels=4
        )
        form = drawn(project, COMMON | {"drawn-preset": "tight_budget", "preset": ""})
        assert (form["strategy"].value(), form["cold_labels"].value()) == ("entropy", "4")

    def test_it_can_be_saved_without_a_look_at_it(self, project: Project) -> None:
        sent = COMMON | {"drawn-preset": "rare_classes", "preset": ""}
        assert client_of(project).post(url_of(project), sent).status_code == 302
        stored = settings_of(project)
        assert (stored.preset, stored.strategy, stored.cold_labels) == ("", "margin", 10)
        assert stored.composition["options"] == {"balance": True}


class TestWhatItSays:
    def test_the_sentence_follows_the_choice(self, project: Project) -> None:
        asked = OWN | {"strategy": "entropy", "refresh": "1", "item_filter": ""}
        page = client_of(project).post(url_of(project), asked).content.decode()
        assert "Begins with Random until 6 labels (0 so far), then Entropy." in page

    def test_with_a_model_it_says_what_is_used_now(self) -> None:
        project = make_world(60, learning={"strategy": "core_set", "cold_strategy": "typicality"})
        assert selectors.outlook(settings_of(project)).startswith(
            "Begins with Typicality (TypiClust) until there is a model, then Core-set"
        )
        answer_truly(project, join(project), items_of(project)[:12])
        run_round(project)
        said = selectors.outlook(settings_of(project))
        assert said.startswith("Items are chosen by Core-set")
        assert said.endswith("with model 1 and 12 labels; Typicality (TypiClust) was for the beginning.")


class TestNames:
    def test_strategies_have_titles_wherever_people_read_them(self) -> None:
        project = make_world(20, learning={"preset": "automatic"})
        round_ = run_round(project)
        client = client_of(project)
        page = client.get(url_of(project)).content.decode()
        assert '<option value="typicality" selected>Typicality (TypiClust)</option>' in page
        assert selectors.health(project)["detail"] == "order by Typicality (TypiClust)"
        assert "by Typicality (TypiClust)," in selectors.health(project)["title"]
        for name, args in (("models", []), ("replay", [round_.number])):
            shown = client.get(reverse(f"learning:{name}", args=[project.pk, *args])).content.decode()
            assert "Typicality (TypiClust)" in shown, name

    def test_a_strategy_that_is_gone_has_its_key(self) -> None:
        assert catalogue.strategy_title({"key": "random", "version": 1}) == "Random"
        assert catalogue.strategy_title({"key": "gone"}) == "gone"
        assert (
            catalogue.strategy_title({"key": "composition", "title": "Margin, balanced"})
            == "Margin, balanced"
        )

    def test_only_what_may_be_left_empty_is_optional(self, project: Project) -> None:
        page = client_of(project).post(url_of(project), OWN | {"refresh": "1"}).content.decode()
        assert re.findall(r'<label[^>]*for="(\w+)">\s*[^<]*<span class="field__optional">', page) == [
            "id_item_filter"
        ]

    def test_strategies_stand_under_the_package_they_come_from(self, project: Project) -> None:
        choices = [("preset:automatic", "Automatic"), ("margin", "Margin"), ("own", "As now")]
        foreign = [each for each in registry.available() if each.source][:1]
        found = catalogue.grouped([*choices, *((each.spec.key, "F") for each in foreign)])
        assert found[:2] == [
            ("Presets", [("preset:automatic", "Automatic")]),
            ("Annotator", [("margin", "Margin"), ("own", "As now")]),
        ]
        assert [heading for heading, _ in found[2:]] == [each.source for each in foreign]
        page = client_of(project).post(url_of(project), OWN | {"refresh": "1"}).content.decode()
        assert page.count('<optgroup label="Annotator">') == 3
        whatif = client_of(project).get(reverse("learning:whatif", args=[project.pk])).content.decode()
        assert '<optgroup label="Presets">' in whatif

    def test_the_lab_groups_them_too(self, project: Project) -> None:
        form = LabForm(chosen=settings_of(project), counts=Counts(6, 6, "random"))
        headings = [heading for heading, _ in form.fields["strategies"].choices]  # type: ignore[attr-defined]
        assert headings[:2] == ["Presets", "Annotator"]


class TestARefusedSave:
    def test_all_that_is_wrong_is_told_together_at_the_top(self, project: Project) -> None:
        wrong = OWN | {"item_filter": "lang", "batch_size": "0", "composition-min_confidence": "2"}
        answer = client_of(project).post(url_of(project), wrong)
        page = answer.content.decode()
        assert answer.status_code == 422
        summary = page[page.index('id="learning-errors"') : page.index("drawn-encoder")]
        assert "autofocus" in summary
        for field in ("id_item_filter", "id_batch_size", "id_composition-min_confidence"):
            assert f'href="#{field}"' in summary, field
        assert "&#x27;lang&#x27; is no condition. Write name=value" in summary
        assert page.count('role="alert"') == 1

    @pytest.mark.parametrize(
        "more", [{"times": "entropy"}, {"composition-balance": "on"}, {"composition-max_similarity": "9"}]
    )
    def test_what_was_combined_stays_in_view(self, project: Project, more: dict[str, str]) -> None:
        page = client_of(project).post(url_of(project), OWN | {"batch_size": "0"} | more).content.decode()
        assert '<details class="disclosure" open>' in page

    def test_what_was_not_combined_stays_folded(self, project: Project) -> None:
        sent = OWN | {"batch_size": "0", "composition-max_similarity": "1.0", "times": ""}
        page = client_of(project).post(url_of(project), sent).content.decode()
        assert '<details class="disclosure">' in page
