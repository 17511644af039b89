"""'Why this item', with and without the model's view."""

from __future__ import annotations

from annotator.workspace.why import blind, why

SERVED = {
    "rank": 3,
    "round": 2,
    "propensity": 0.4,
    "utility": 0.9,
    "exploration": False,
    "strategy": {"key": "margin"},
    "reason": {"kind": "margin", "text": "Wavers.", "classes": ["cat", "dog"], "probabilities": [0.5, 0.4]},
}


def test_the_card_tells_how_the_item_was_chosen() -> None:
    told = why(SERVED)
    assert (told["headline"], told["strategy"], told["rank"], told["round"]) == ("Wavers.", "margin", 3, 2)


def test_without_suggestions_the_reason_names_no_class() -> None:
    told = why(blind(SERVED))
    assert "cat" not in str(told)
    assert (told["reason"]["kind"], told["propensity"]) == ("margin", 0.4)


def test_a_random_draw_has_nothing_to_hide() -> None:
    drawn = {"exploration": True, "reason": {"kind": "exploration", "text": "Drawn at random."}}
    assert blind(drawn) is drawn
    assert why(drawn)["headline"] == "Drawn at random."


def test_an_item_handed_back_says_so() -> None:
    assert why({})["headline"] == "Given to you outside the ranking."
