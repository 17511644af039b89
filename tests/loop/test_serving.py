"""What is served is the ranking, for two annotators at once, before and after a round."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.learning.folders import round_folder
from annotator.learning.models import Round
from tests.loop.application import Application
from tests.loop.players import World, make_world, name_of


@pytest.fixture
def world(app: Application) -> World:
    return make_world(app)


def ranked_ids(world: World, round_: Round) -> list[str]:
    """External ids in the order of the round's ranking file."""
    rows = np.load(round_folder(world.project_id, round_.number) / "order.npy").tolist()
    names = dict(world.project.items.values_list("row", "external_id"))
    return [names[row] for row in rows]


def test_two_annotators_who_take_turns_get_the_ranking_in_its_order_and_never_the_same_item(
    world: World,
) -> None:
    round_ = world.rounds()[0]
    queue = [entry.item.external_id for entry in world.queue()]
    served, seen = [], set()
    for turn in range(12):
        person = (world.ann, world.ben)[turn % 2]
        fresh = [lease for lease in person.hold(1 + turn % 3) if lease["token"] not in seen]
        seen |= {lease["token"] for lease in fresh}
        served += fresh
        if turn in (1, 2, 5):
            person.answer(person.hold(1)[0])

    names = [name_of(lease) for lease in served]
    assert len(names) >= 9
    assert names == queue[: len(names)]
    assert [lease["served"]["rank"] for lease in served] == list(range(len(names)))
    assert {lease["served"]["round"] for lease in served} == {round_.number}
    chosen = [name_of(lease) for lease in served if not lease["served"]["exploration"]]
    explored = set(names) - set(chosen)
    assert chosen == [name for name in ranked_ids(world, round_) if name not in explored][: len(chosen)]


def test_after_a_round_the_new_ranking_is_served_and_prefetched_items_keep_their_own_reason(
    world: World,
) -> None:
    old = world.rounds()[0]
    sent = world.ann.label(6) + world.ben.label(4)
    *_, first, second = world.ann.hold(4)
    before = [entry.item.external_id for entry in world.queue() if entry.free]
    held = {lease["token"]: lease for lease in world.ann.hold(4)}
    spent = [lease for lease in held.values() if lease["token"] not in (first["token"], second["token"])]
    sent += [world.ann.answer(lease) for lease in spent]

    new = world.wait_for_round(after=old.number, labels=12)

    assert new.model is not None
    assert new.strategy == "margin"
    kept = world.ann.hold(3)
    assert [lease["token"] for lease in kept[:2]] == [first["token"], second["token"]]
    assert [lease["served"] for lease in kept[:2]] == [first["served"], second["served"]]
    assert [lease["why"] for lease in kept[:2]] == [first["why"], second["why"]]
    assert {lease["served"]["round"] for lease in kept[:2]} == {old.number}

    fresh = [kept[2], *world.ben.hold(4)]
    assert {lease["served"]["round"] for lease in fresh} == {new.number}
    assert {lease["served"]["model"] for lease in fresh} == {new.model.number}
    assert {lease["served"]["strategy"]["key"] for lease in fresh} == {"margin"}
    names = [name_of(lease) for lease in fresh]
    assert names != before[: len(names)]
    chosen = [lease for lease in fresh if not lease["served"]["exploration"]]
    taken = {name_of(lease) for lease in kept[:2]} | (set(names) - {name_of(lease) for lease in chosen})
    expected = [name for name in ranked_ids(world, new) if name not in taken]
    assert [name_of(lease) for lease in chosen] == expected[: len(chosen)]
    worth = [lease["served"]["utility"] for lease in chosen]
    assert worth == sorted(worth, reverse=True)
    world.check_books(sent)


def test_the_ranking_of_a_model_puts_first_what_the_model_cannot_tell(world: World) -> None:
    old = world.rounds()[0]
    world.ann.label(12)
    new = world.wait_for_round(after=old.number, labels=12)
    proba = np.load(round_folder(world.project_id, new.number) / "proba.npy").astype(float)
    ordered = np.sort(proba, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    rows = [entry.item.row for entry in world.queue() if not entry.served["exploration"]]
    assert margin[rows[:20]].mean() < margin[rows[-20:]].mean()
    # Half precision of the stored probabilities leaves room for neighbours to trade places.
    assert np.all(np.diff(margin[rows]) > -0.01)


def test_an_answer_keeps_how_its_item_was_chosen(world: World) -> None:
    lease = world.ann.hold(1)[0]
    answer_id = world.ann.answer(lease)
    stored = world.project.annotations.get(pk=answer_id)
    assert stored.served == lease["served"]
