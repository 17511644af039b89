"""What the strategies on draws choose, and that peers which implement the same rule agree."""

import numpy as np
import pytest

from acquisition import registry
from acquisition.pool import Labeled, Pool

# Members that contradict each other, that doubt together, and one that is sure beside one that doubts.
DRAWS = np.array(
    [[(1, 0), (0, 1)], [(0.5, 0.5), (0.5, 0.5)], [(1, 0), (0.5, 0.5)]], dtype=np.float64
).swapaxes(1, 2)


def select(key, draws, n=None, *, seed=0, multi_label=False, **params):
    pool = Pool(np.arange(10, 10 + len(draws)), draws=draws, multi_label=multi_label)
    labeled = Labeled(ids=np.empty(0, np.int64), n_classes=draws.shape[1], multi_label=multi_label)
    return registry.get(key).select(
        pool, labeled, len(draws) if n is None else n, np.random.default_rng(seed), **params
    )


@pytest.mark.parametrize(
    ("key", "params", "utility"),
    [
        ("variation_ratio", {}, (0.5, 0, 0)),
        ("vote_entropy", {}, (1, 0, 0)),
        ("kl_to_consensus", {}, (1, 0, 0.3112781245)),
        ("kl_to_consensus", {"over": "max"}, (1, 0, 0.4150374993)),
        ("mean_std", {}, (1, 0, 0.5)),
        ("mc_entropy", {}, (1, 1, 0.8112781245)),
        ("bald", {}, (1, 0, 0.3112781245)),
    ],
)
def test_a_worked_example(key, params, utility):
    ranking = select(key, DRAWS, **params)
    np.testing.assert_allclose(ranking.utility, utility, atol=1e-10)
    by_utility = ranking.utility[ranking.positions(ranking.order)]
    assert np.all(np.diff(by_utility) <= 0)


def test_bald_asks_about_conflict_and_entropy_about_doubt_as_well():
    assert select("bald", DRAWS).order.tolist() == [10, 12, 11]
    assert set(select("mc_entropy", DRAWS, 2).order.tolist()) == {10, 11}


def test_votes_may_be_counted_against_the_mean():
    lukewarm = np.array([[(0.51, 0.49), (0.51, 0.49), (0, 1)]]).swapaxes(1, 2)
    assert select("variation_ratio", lukewarm).utility[0] == pytest.approx(1 / 3)
    assert select("variation_ratio", lukewarm, against="mean").utility[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("key", "utility"),
    [
        ("variation_ratio", (0.5, 0)),
        ("vote_entropy", (0.5, 0)),
        ("kl_to_consensus", (0.2958073480 / 2, 0)),
        ("mean_std", (0.3, 0)),
        ("mc_entropy", (0.9709505945 / 2, 0.5)),
        ("bald", (0.2958073480 / 2, 0)),
    ],
)
def test_scores_of_many_labels_are_reduced(key, utility):
    # Two items, two labels, two members; the mean over the labels is the default.
    draws = np.array([[(0.9, 0.3), (1, 1)], [(0.5, 0.5), (0, 0)]])
    np.testing.assert_allclose(select(key, draws, multi_label=True).utility, utility, atol=1e-9)
    most = select(key, draws, multi_label=True, reduction="max").utility
    np.testing.assert_allclose(most, 2 * np.array(utility), atol=1e-9)


def test_reasons_say_how_the_members_vote():
    reason = select("bald", DRAWS).reason(10)
    assert reason == {
        "kind": "bald",
        "classes": [0, 1],
        "probabilities": [0.5, 0.5],
        "votes": [1, 1],
        "members": 2,
        "utility": pytest.approx(1),
    }
    many = select("bald", np.array([[(0.9, 0.3), (1, 1)]]), multi_label=True).reason(10)
    assert many["labels"] == [0, 1]
    assert many["probabilities"] == pytest.approx([0.6, 1.0])


def test_how_members_are_made_is_not_handed_to_the_strategy():
    assert select("bald", DRAWS, members=7, member_kind="dropout", dropout=0.5).order[0] == 10
    with pytest.raises(ValueError, match="members"):
        select("bald", DRAWS, members=1)


@pytest.fixture
def committee_draws():
    return np.random.default_rng(3).dirichlet(np.ones(4), (200, 5)).swapaxes(1, 2)


def ranks_alike(ours, theirs):
    np.testing.assert_allclose(ours / ours.max(), theirs / theirs.max(), rtol=1e-5, atol=1e-6)


def test_scikit_activeml_agrees(committee_draws):
    peer = pytest.importorskip("skactiveml.pool._query_by_committee")
    by_member = committee_draws.transpose(2, 0, 1)
    ranks_alike(
        select("kl_to_consensus", committee_draws).utility, peer.average_kl_divergence(by_member.copy())
    )
    votes = committee_draws.argmax(axis=1)
    ranks_alike(select("variation_ratio", committee_draws).utility, peer.variation_ratios(votes))
    ranks_alike(select("vote_entropy", committee_draws).utility, peer.vote_entropy(votes, np.arange(4)))


def test_modal_agrees(committee_draws):
    peer = pytest.importorskip("modAL.disagreement")

    class Committee:
        """What modAL asks of one: classes, and each member's probabilities (n, M, C)."""

        classes_ = np.arange(4)

        def __len__(self):
            return 5

        def __iter__(self):
            return iter(range(5))

        def vote(self, X):
            return committee_draws.argmax(axis=1)

        def vote_proba(self, X):
            return committee_draws.transpose(0, 2, 1)

        def predict_proba(self, X):
            return committee_draws.mean(axis=2)

    X = np.zeros((len(committee_draws), 1))
    ranks_alike(select("mc_entropy", committee_draws).utility, peer.consensus_entropy(Committee(), X))
    ranks_alike(
        select("kl_to_consensus", committee_draws, over="max").utility,
        peer.KL_max_disagreement(Committee(), X),
    )
    ranks_alike(select("vote_entropy", committee_draws).utility, peer.vote_entropy(Committee(), X))
