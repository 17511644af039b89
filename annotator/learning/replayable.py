"""Whether a round can be replayed, and the job that does it. No torch here."""

from __future__ import annotations

from annotator.accounts.models import User
from annotator.common.errors import Conflict
from annotator.items.features import open_store
from annotator.jobs.models import Job
from annotator.jobs.services import start_job
from annotator.learning.folders import round_folder, weights_path
from annotator.learning.models import Round

REPLAY_JOB = "replay"


def missing_parts(round_: Round) -> list[str]:
    """What a replay needs and does not find."""
    folder = round_folder(round_.project_id, round_.number)
    gone = [] if (folder / "pool.npy").exists() else ["its pool"]
    if round_.model is not None and not weights_path(round_.project_id, round_.model.number).exists():
        gone.append(f"the weights of model {round_.model.number}")
    if "committee" in round_.settings and not (folder / "members.npz").exists():
        gone.append("its committee")
    if number := round_.settings.get("previous_round"):
        earlier = Round.objects.filter(project_id=round_.project_id, number=number).first()
        if earlier is None or not (round_folder(round_.project_id, number) / "proba.npy").exists():
            gone.append(f"the probabilities of round {number}")
    digest = round_.settings.get("encoder_digest")
    if digest and open_store(round_.project_id, digest) is None:
        gone.append("the features")
    if "opening" not in round_.settings and not (folder / "state.npz").exists():
        gone.append("what it knew of the items")
    return gone


def check_replayable(round_: Round) -> None:
    """Conflict names what is not kept any more, or that the round has no ranking."""
    if round_.published_at is None:
        raise Conflict(f"Round {round_.number} published no ranking.", code="not_published")
    if gone := missing_parts(round_):
        raise Conflict(
            f"Round {round_.number} cannot be replayed: {', '.join(gone)} not kept any more.", code="not_kept"
        )


def start_replay(*, round_: Round, by: User | None) -> Job:
    """A job that ranks again as the round did and compares."""
    check_replayable(round_)
    return start_job(
        kind=REPLAY_JOB,
        project_id=round_.project_id,
        created_by=by,
        queue="gpu",
        params={"round": round_.pk, "number": round_.number, "title": f"Replay of round {round_.number}"},
    )


def replays_of(round_: Round) -> Job | None:
    """The newest replay of the round."""
    jobs = Job.objects.filter(project_id=round_.project_id, kind=REPLAY_JOB, params__round=round_.pk)
    return jobs.order_by("-pk").first()
