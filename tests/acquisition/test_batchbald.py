"""Joint information: the values of brute force, no copies in a batch, and bounded work."""

import itertools
import tracemalloc

import numpy as np
import pytest

from acquisition import joint, registry
from acquisition.joint import Configurations, choose_jointly
from acquisition.pool import Labeled, Pool


def rng(seed=0):
    return np.random.default_rng(seed)


def entropy(p):
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def information(draws, chosen):
    """Of the joint labels about the member, by all C^b ways to answer: H(labels) - mean of the members' H."""
    _, classes, members = draws.shape
    answered = [
        np.prod([draws[row, answer, :] for row, answer in zip(chosen, answers, strict=True)], axis=0).mean()
        for answers in itertools.product(range(classes), repeat=len(chosen))
    ]
    own = sum(entropy(draws[row, :, member]) for row in chosen for member in range(members)) / members
    return entropy(np.array(answered)) - own


def random_draws(n, classes, members, seed=0, sharp=0.5):
    return rng(seed).dirichlet(np.full(classes, sharp), (n, members)).swapaxes(1, 2)


def select(draws, n, *, seed=0, **params):
    pool = Pool(np.arange(100, 100 + len(draws)), draws=draws)
    labeled = Labeled(ids=np.empty(0, np.int64), n_classes=draws.shape[1])
    return registry.get("batchbald").select(pool, labeled, n, rng(seed), **params)


@pytest.mark.parametrize("seed", range(5))
def test_each_pick_and_its_gain_are_those_of_brute_force(seed):
    draws = random_draws(12, 3, 4, seed)
    found = choose_jointly(draws, 4, rng(), configurations=10**6)
    chosen = []
    for position, gain in zip(found.positions, found.gain, strict=True):
        before = information(draws, chosen) if chosen else 0.0
        gains = [
            information(draws, [*chosen, row]) - before if row not in chosen else -1 for row in range(12)
        ]
        assert position == int(np.argmax(gains))
        assert gain == pytest.approx(max(gains), abs=1e-9)
        chosen.append(int(position))


def test_a_copy_in_the_batch_tells_nothing_and_bald_would_take_it():
    # Items 0 and 1 are the same; item 2 tells less, but something else.
    same = [(1, 0), (1, 0), (0, 1), (0, 1)]
    other = [(0.9, 0.1), (0.1, 0.9), (0.9, 0.1), (0.1, 0.9)]
    draws = np.array([same, same, other], dtype=np.float64).swapaxes(1, 2)
    assert set(select(draws, 2).order.tolist()) in ({100, 102}, {101, 102})
    by_bald = registry.get("bald").select(
        Pool(np.arange(3), draws=draws), Labeled(ids=np.empty(0, np.int64), n_classes=2), 2, rng()
    )
    assert set(by_bald.order.tolist()) == {0, 1}
    state = Configurations.none_yet(4, np.float64)
    assert state.gain(draws) == pytest.approx([np.log(2), np.log(2), 0.3680642072])
    after = state.with_answer_to(draws[0], 100, rng())
    assert after.gain(draws) == pytest.approx([0, 0, 0.3680642072])


def test_sampled_configurations_come_close_to_all_of_them():
    draws = random_draws(30, 4, 6, sharp=1.0)
    exact = choose_jointly(draws, 6, rng(), configurations=10**6)
    sampled = choose_jointly(draws, 6, rng(1), configurations=400)
    assert sampled.gain.sum() == pytest.approx(exact.gain.sum(), rel=0.05)
    shared = set(sampled.positions.tolist()) & set(exact.positions.tolist())
    assert len(shared) >= 4


def test_a_sample_keeps_what_is_known_of_the_members():
    draws = random_draws(20, 3, 5, sharp=1.0)
    state = Configurations.none_yet(5, np.float64)
    for row in range(12):
        state = state.with_answer_to(draws[row], 200, rng(row))
        assert len(state.weight) <= 200
        np.testing.assert_allclose(state.posterior.sum(axis=1), 1)
        assert state.weight.sum() == pytest.approx(1)
    # On average over the answers, nobody has become likelier.
    np.testing.assert_allclose(state.weight @ state.posterior, 0.2, atol=0.05)


def test_following_an_answer_holds_blocks_and_not_every_configuration_with_every_answer():
    draws = random_draws(4, 200, 50, sharp=1.0)
    state = Configurations(rng(1).dirichlet(np.ones(50), 2_000), np.full(2_000, 1 / 2_000))
    tracemalloc.start()
    try:
        found = state.with_answer_to(draws[0], 1_000, rng())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.weight) <= 1_000
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1)
    assert peak < 2_000 * 200 * 50 * 8 / 2


def test_blocks_of_configurations_change_nothing(monkeypatch):
    draws = random_draws(20, 3, 5, sharp=1.0)
    expected = choose_jointly(draws, 6, rng(), configurations=30)
    monkeypatch.setattr(joint, "_BLOCK_ENTRIES", 40)
    found = choose_jointly(draws, 6, rng(), configurations=30)
    assert found.positions.tolist() == expected.positions.tolist()


def test_answers_that_cannot_be_are_left_out():
    certain = np.array([[1, 1], [0, 0]], dtype=np.float64)
    state = Configurations.none_yet(2, np.float64).with_answer_to(certain, 10, rng())
    assert state.weight.tolist() == [1]
    assert state.gain(certain[None]).tolist() == [0]


def test_the_choice_begins_anew_when_all_is_told():
    # Two members that can be told apart by any item: one answer says which it is.
    draws = np.tile(np.eye(2)[None], (6, 1, 1))
    ranking = select(draws, 5)
    assert len(set(ranking.order.tolist())) == 5
    notes = {note.code: note.values for note in ranking.notes}
    assert notes["exhausted"] == {"count": 1}
    assert ranking.reason(ranking.order[0])["gain"] == pytest.approx(np.log(2))


def test_members_that_agree_leave_nothing_to_choose_by_and_the_batch_is_filled():
    ranking = select(np.full((5, 3, 4), 1 / 3), 4)
    assert len(set(ranking.order.tolist())) == 4
    assert np.allclose(ranking.utility, 0)


def test_the_batch_comes_from_the_best_candidates_and_the_note_says_so():
    draws = random_draws(60, 3, 5)
    ranking = select(draws, 10, candidates=20)
    best = set((100 + np.argsort(-ranking.utility)[:20]).tolist())
    assert set(ranking.order.tolist()) <= best
    assert {note.code for note in ranking.notes} >= {"candidates"}
    # More wanted than candidates: the others follow by BALD.
    everything = select(draws, 60, candidates=20)
    tail = everything.utility[everything.positions(everything.order[20:])]
    assert np.all(np.diff(tail) <= 0)


def test_single_precision_chooses_alike():
    draws = random_draws(200, 5, 8)
    wide = choose_jointly(draws, 6, rng(), configurations=10**5)
    narrow = choose_jointly(draws.astype(np.float32), 6, rng(), configurations=10**5)
    np.testing.assert_allclose(narrow.gain, wide.gain, rtol=1e-3)


def test_scikit_activeml_chooses_the_same_small_batch():
    peer = pytest.importorskip("skactiveml.pool._bald")
    draws = random_draws(40, 3, 6, seed=5)
    # So many samples that its joint probabilities are exact for batches of this size.
    theirs = peer.batch_bald(draws.transpose(2, 0, 1), 3, n_MC_samples=27, random_state=0)
    ours = choose_jointly(draws, 3, rng(), configurations=10**5)
    assert ours.positions.tolist() == np.nanargmax(theirs, axis=1).tolist()
