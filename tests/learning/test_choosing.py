"""Presets and compositions in real rounds: stages, filters, balance, fallbacks, and what people are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from acquisition import registry
from annotator.common.errors import Invalid
from annotator.items.models import Item
from annotator.learning import item_filter, selectors, services
from annotator.learning.arrays import load_array
from annotator.learning.folders import round_folder
from annotator.learning.item_filter import Condition
from annotator.learning.models import LearningSettings, Round
from annotator.learning.replay import replay_round
from annotator.learning.services import remember_favourite, settings_of, update_settings
from annotator.projects.models import LabelClass, Project
from tests.factories import join, make_items, make_project
from tests.learning.world import answer, answer_truly, encode, items_of, make_world, queue_of, run_round

pytestmark = pytest.mark.django_db


def labelled(count: int = 100, labels: int = 20, **options: Any) -> Project:
    project = make_world(count, **options)
    answer_truly(project, join(project), items_of(project)[:labels])
    return project


def change(project: Project, **values: Any) -> LearningSettings:
    return update_settings(settings=LearningSettings.objects.get(project=project), by=None, values=values)


def told(round_: Round) -> str:
    return " ".join(note["message"] for note in round_.health["notes"])


class TestStages:
    def test_new_projects_are_automatic_and_old_ones_keep_their_choice(self) -> None:
        project = make_project()
        LearningSettings.objects.filter(project=project).delete()
        fresh = settings_of(project)
        assert (fresh.preset, fresh.preset_params["labels_per_class"]) == ("automatic", 10)
        assert make_world(5).learning.preset == ""

    def test_automatic_begins_with_typical_items_and_turns_to_doubts(self) -> None:
        project = labelled(100, 19, learning={"preset": "automatic"})
        first = run_round(project)
        assert (first.state, first.strategy) == ("published", "typicality"), first.error
        assert first.model is not None
        used = first.strategy_json()
        assert (used["key"], used["stage"], used["preset"]) == ("typicality", "start", "automatic")
        assert (used["title"], "composition" in used) == ("Typicality (TypiClust)", False)
        answer_truly(project, join(project), items_of(project)[19:20])
        then = run_round(project)
        assert (then.strategy, then.strategy_json()["stage"]) == ("margin", "then")
        assert {entry.served["strategy"]["preset"] for entry in queue_of(project)} == {"automatic"}

    def test_the_start_of_ones_own_goes_on_until_there_are_so_many_labels(self) -> None:
        project = labelled(100, 10, learning={"cold_strategy": "kmeans", "cold_labels": 6})
        assert run_round(project).strategy == "kmeans"
        answer_truly(project, join(project), items_of(project)[10:12])
        assert run_round(project).strategy == "margin"

    def test_the_favourite_of_a_comparison_is_followed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        project = labelled(100, 30, learning={"preset": "automatic"})
        found, failures = registry._loaded()
        without = {key: one for key, one in found.items() if key != "badge"}
        monkeypatch.setattr(registry, "_loaded", lambda: (without, failures))
        remember_favourite(project=project, strategy="badge", evidence={"labels": 30})
        assert LearningSettings.objects.get(project=project).favourite == {"strategy": "badge", "labels": 30}
        fallen = Round.objects.filter(project=project).first()
        assert fallen is not None  # the news asked for a new ranking
        Round.objects.all().delete()
        round_ = run_round(project)
        assert round_.strategy == "margin"
        assert round_.health["degraded"] == ["'badge' is not installed here. Margin is used."]
        badge = {"badge": registry.get("kmeans")}
        monkeypatch.setattr(registry, "_loaded", lambda: (without | badge, failures))
        assert run_round(project).strategy == "kmeans"

    def test_items_without_features_come_in_random_order_and_that_is_said(self) -> None:
        project = make_project(learning={"preset": "automatic", "randomness": 0.0})
        make_items(project, 10)
        round_ = run_round(project)
        assert round_.strategy == "random"
        assert "needs features, which there is not yet. Random is used." in round_.health["degraded"][0]

    def test_what_is_planned_is_said_in_words(self) -> None:
        project = labelled(60, 4, learning={"preset": "automatic"})
        run_round(project)
        outlook = selectors.outlook(project.learning)
        assert outlook == "Begins with Typicality (TypiClust) until 20 labels (4 so far), then Margin."
        own = make_world(5, learning={"strategy": "gone"})
        assert "gone" in selectors.outlook(own.learning)


class TestCompositions:
    def test_a_product_ranks_by_both(self) -> None:
        terms = [{"strategy": "typicality", "strength": 1.0}]
        project = labelled(learning={"composition": {"terms": terms}, "exploration_share": 0.0})
        round_ = run_round(project)
        assert (round_.state, round_.strategy) == ("published", "composition"), round_.error
        assert round_.strategy_json()["title"] == "Margin × Typicality (TypiClust)"
        entry = queue_of(project)[0]
        assert set(entry.served["reason"]["parts"]) == {"margin", "typicality"}
        assert entry.served["reason"]["text"].startswith("The model wavers between")
        assert replay_round(round_).same

    def test_balance_asks_for_the_class_with_few_labels(self) -> None:
        project = make_world(120, learning={"composition": {"options": {"balance": True}}})
        user, items = join(project), items_of(project)
        answer_truly(project, user, [item for item in items if item.row % 2 == 0][:24])
        answer_truly(project, user, [item for item in items if item.row % 2][:12])
        LearningSettings.objects.filter(project=project).update(
            composition={"options": {"balance": True, "balance_candidates": 1.0}}, exploration_share=0.0
        )
        round_ = run_round(project)
        assert round_.strategy == "composition", round_.error
        first = queue_of(project)[:12]
        assert sum(entry.item.row % 2 for entry in first) >= 10
        assert {entry.served["reason"]["for_class"] for entry in first} == {"dog"}
        assert "Expected to be Dog, a class with few labels." in first[0].served["reason"]["text"]

    def test_near_duplicates_wait(self) -> None:
        project = labelled(
            60, 10, learning={"composition": {"options": {"max_similarity": 0.5}}, "exploration_share": 0.0}
        )
        round_ = run_round(project)
        assert "near-duplicates among the first" in told(round_)
        assert len(queue_of(project)) == 50

    def test_confidence_holds_items_back_to_the_end(self) -> None:
        project = labelled(learning={"exploration_share": 0.0})
        proba = load_array(round_folder(project.pk, run_round(project).number) / "proba.npy")
        confidence = proba.astype(float).max(axis=1)
        limit = round(float(np.median(confidence[20:])), 3)
        composition = {"options": {"max_confidence": limit}}
        LearningSettings.objects.filter(project=project).update(composition=composition)
        round_ = run_round(project)  # nothing was learned meanwhile, so the model says the same
        entries = queue_of(project)
        held = [entry.served["reason"]["kind"] == "held_back" for entry in entries]
        assert held == sorted(held)
        assert 30 < sum(held) < 50
        sure = confidence[[entry.item.row for entry in entries]]
        assert sure[: -sum(held)].max() <= limit + 0.001 <= sure[-sum(held) :].min() + 0.002
        assert round_.health["held"] == sum(held)
        assert f"{sum(held)} of 80 items are held back" in told(round_)
        assert replay_round(round_).same

    def test_a_filter_that_nothing_passes_is_a_visible_state(self) -> None:
        project = labelled(learning={"composition": {"options": {"max_confidence": 0.01}}})
        round_ = run_round(project)
        assert round_.state == "published", round_.error
        assert "No item passes the filters" in " ".join(round_.health["degraded"])
        assert len(queue_of(project)) == 80

    def test_likely_outliers_come_last_once_there_is_a_label_of_them(self) -> None:
        project = make_world(120, classes=("cat", "dog", "none"), learning={"exploration_share": 0.0})
        LabelClass.objects.filter(schema=project.schema, key="none").update(is_outlier=True)
        composition = {"options": {"max_outlier": 0.5}}
        LearningSettings.objects.filter(project=project).update(composition=composition)
        user, items = join(project), items_of(project)
        seen = [item for item in items if item.row % 3 < 2][:20]
        for item in seen:
            answer(project, user, item, ("cat", "dog")[item.row % 3])
        off = run_round(project)
        assert "off until there is a label" in " ".join(off.health["degraded"])
        for item in [item for item in items if item.row % 3 == 2][:10]:
            answer(project, user, item, "none")
        round_ = run_round(project)
        rows = [entry.item.row for entry in queue_of(project)]
        half = len(rows) // 2
        assert sum(row % 3 == 2 for row in rows[:half]) < 0.4 * sum(row % 3 == 2 for row in rows)
        proba = load_array(round_folder(project.pk, round_.number) / "proba.npy").astype(float)[:, 2]
        held = [proba[row] for row in rows if proba[row] > 0.501]
        assert held == sorted(held)

    def test_settings_take_compositions_and_refuse_what_cannot_be(self) -> None:
        project = labelled(20, 4)
        stored = change(
            project, composition={"terms": [{"strategy": "entropy"}], "options": {"balance": False}}
        )
        assert stored.composition == {
            "terms": [{"strategy": "entropy", "params": {}, "strength": 1.0}],
        }
        for bad in (
            {"terms": [{"strategy": "nonsense"}]},
            {"terms": "margin"},
            {"options": {"balance": "yes"}},
            {"options": {"sweetness": 3}},
            {"weights": []},
        ):
            with pytest.raises(Invalid):
                change(project, composition=bad)
        assert LearningSettings.objects.get(project=project).composition == stored.composition

    def test_naming_a_strategy_turns_the_preset_off(self) -> None:
        project = labelled(20, 4, learning={"preset": "rare_classes"})
        assert change(project, batch_size=7).preset == "rare_classes"
        assert change(project, strategy="entropy").preset == ""
        assert change(project, preset="tight_budget", strategy="margin").preset == "tight_budget"
        with pytest.raises(Invalid, match="magic"):
            change(project, preset="magic")
        with pytest.raises(Invalid, match="labels_per_class"):
            change(project, preset="automatic", preset_params={"labels_per_class": "many"})


def test_a_tight_budget_weighs_worth_against_seconds() -> None:
    project = labelled(100, 45, learning={"preset": "tight_budget", "exploration_share": 0.0})
    round_ = run_round(project)
    assert round_.state == "published", round_.error
    assert round_.strategy_json()["title"] == (
        "Margin × Typicality (TypiClust)^0.5, per second, no near-duplicates"
    )
    assert round_.health["degraded"] == []
    assert queue_of(project)[0].served["reason"]["seconds"] > 0


class TestItemFilter:
    def test_conditions_are_read(self) -> None:
        assert item_filter.parse("language=de|fr, source != web") == (
            Condition("language", ("de", "fr")),
            Condition("source", ("web",), not_=True),
        )
        assert item_filter.parse(" ") == ()

    @pytest.mark.parametrize(
        "text", ["language", "=de", "a=", "a=b=c", "a=|", "a!b", ", ".join(["a=b"] * 11)]
    )
    def test_what_is_no_condition_is_refused(self, text: str) -> None:
        with pytest.raises(Invalid) as caught:
            item_filter.parse(text)
        assert caught.value.code == "invalid_filter"

    def test_items_that_match_come_first(self) -> None:
        project = labelled(60, 10, learning={"item_filter": "lang=de|fr, n!=3", "exploration_share": 0.0})
        rest = items_of(project)[10:]
        for item in rest:
            meta: dict[str, Any] = {"lang": ("de", "fr", "en")[item.row % 3], "n": item.row % 5}
            Item.objects.filter(pk=item.pk).update(meta=meta if item.row != 59 else {})
        run_round(project)
        entries = queue_of(project)
        wanted = [
            entry.item.row % 3 < 2 and entry.item.row % 5 != 3 and entry.item.row != 59 for entry in entries
        ]
        assert wanted == sorted(wanted, reverse=True)
        assert {entry.served["reason"]["kind"] for entry in entries[sum(wanted) :]} == {"held_back"}
        assert len(entries) == 50

    def test_names_and_values_are_no_sql(self) -> None:
        project = labelled(20, 4)
        conditions = item_filter.parse("a') OR true --=x' OR 'x")
        assert not item_filter.passing(project.pk, conditions, 20).any()

    def test_random_draws_are_of_all_items(self) -> None:
        project = labelled(300, 20, learning={"item_filter": "lang=de", "exploration_share": 0.5})
        Item.objects.filter(project=project, row__lt=150).update(meta={"lang": "de"})
        run_round(project)
        drawn = [entry.item.row for entry in queue_of(project)[:120] if entry.served["exploration"]]
        assert 0.3 < np.mean([row >= 150 for row in drawn]) < 0.8


def test_the_committee_is_made_for_a_term_that_needs_it() -> None:
    terms = [{"strategy": "bald", "params": {"members": 3}}]
    project = labelled(learning={"composition": {"terms": terms}})
    round_ = run_round(project)
    assert (round_.state, round_.settings["committee"]["members"]) == ("published", 3), round_.error


def test_held_back_rows_do_not_starve_new_ones() -> None:
    project = labelled(
        60, 20, learning={"composition": {"options": {"max_confidence": 0.7}}, "exploration_share": 0.0}
    )
    make_items(project, 3)
    run_round(project)
    kinds = [entry.served["reason"]["kind"] for entry in queue_of(project)]
    assert max(place for place, kind in enumerate(kinds) if kind == "unscored") < kinds.index("held_back")
    encode(project)
    assert services.settings_of(project).composition
