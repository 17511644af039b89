"""A strategy that needs a committee, chosen over the API: the worker trains one and people are served by it."""

from __future__ import annotations

from annotator.learning.arrays import load_array
from annotator.learning.folders import round_folder
from tests.loop.application import Application
from tests.loop.players import make_world


def test_a_project_set_to_bald_trains_ranks_and_serves_by_a_committee(app: Application) -> None:
    world = make_world(app, items=90, exploration_share=0.0, strategy="bald", strategy_params={"members": 5})
    before = world.rounds()[0].number
    sent = world.ann.label(14)
    round_ = world.wait_for_round(after=before, labels=12)

    assert (round_.strategy, round_.health["notes"]) == ("bald", [])
    assert round_.settings["committee"]["members"] == 5
    folder = round_folder(world.project_id, round_.number)
    assert (folder / "members.npz").exists()
    lease = world.ben.hold(1)[0]
    assert lease["served"]["strategy"]["key"] == "bald"
    assert lease["served"]["strategy"]["params"]["members"] == 5
    assert lease["served"]["reason"]["members"] == 5
    first = world.queue()
    utility = load_array(folder / "utility.npy")[[entry.item.row for entry in first]]
    assert utility[0] > 0
    assert (utility[:-1] >= utility[1:]).all()
    sent.append(world.ben.answer(lease))

    world.owner.call("PATCH", "learning/", {"strategy": "batchbald", "strategy_params": {"members": 4}})
    again = world.wait_for_round(after=round_.number)
    world.until(lambda: world.rounds()[0].strategy == "batchbald")
    assert again.number > round_.number
    assert world.ann.hold(1)[0]["served"]["round"] >= round_.number
    world.check_books(sent)
