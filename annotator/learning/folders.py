"""Where a project's learning keeps its files, and when they are pruned.

HOME/rounds/<project>/<number>/
  training.npz   rows, targets, share       what was trained on (freeze)
  proba.npy      (rows, C) float16          of each row of the project, NaN where it was not scored (signals)
  members.npz    weights of a committee    where the strategy needs one, for resuming and replays (rank)
  pool.npy       packed bits, one per row   what could be chosen (rank)
  order.npy q.npy kind.npy                  the full ranking: rows, draw probabilities, why each is there (rank)
  utility.npy    (rows,) float32            NaN where there is no opinion (rank)
  state.npz      encoded, started           what the ranking knew of the items, for replays (rank)
  head.json      reasons of the ranking's first rows and the strategy's notes (rank)
HOME/models/<project>/<number>.safetensors  heads, named by the round that trained them
HOME/encoders/<project>/<digest>            states of encoders that learn
"""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings

from annotator.learning.models import Encoding, ModelVersion, Round

KEEP_ROUNDS = 20  # rounds that can be replayed
KEEP_SCORES = 3  # published rounds whose large files stay
KEEP_WEIGHTS = 20
LARGE = ("proba.npy", "order.npy", "q.npy", "kind.npy", "utility.npy", "features.npy")


def round_folder(project_id: int, number: int) -> Path:
    return Path(settings.HOME) / "rounds" / str(project_id) / str(number)


def weights_path(project_id: int, number: int) -> Path:
    return Path(settings.HOME) / "models" / str(project_id) / f"{number}.safetensors"


def encoder_path(project_id: int, digest: str) -> Path:
    return Path(settings.HOME) / "encoders" / str(project_id) / digest


def prune(project_id: int) -> None:
    """Remove what is no longer served or replayed; records and metrics stay for ever."""
    rounds = Round.objects.filter(project_id=project_id).exclude(state=Round.State.ACTIVE)
    published = set(
        rounds.filter(state=Round.State.PUBLISHED)
        .order_by("-number")
        .values_list("number", flat=True)[:KEEP_SCORES]
    )
    recent = set(rounds.order_by("-number").values_list("number", flat=True)[:KEEP_ROUNDS])
    active = set(
        Round.objects.filter(project_id=project_id, state=Round.State.ACTIVE).values_list("number", flat=True)
    )
    root = round_folder(project_id, 0).parent
    for folder in root.iterdir() if root.exists() else ():
        if not folder.name.isdecimal():
            continue
        number = int(folder.name)
        if number in active:
            continue
        if number not in recent | published:
            shutil.rmtree(folder, ignore_errors=True)
        elif number not in published:
            for name in LARGE:
                (folder / name).unlink(missing_ok=True)
    _prune_weights(project_id)


def _prune_weights(project_id: int) -> None:
    versions = ModelVersion.objects.filter(project_id=project_id, weights_removed=False)
    kept = set(versions.order_by("-number").values_list("pk", flat=True)[:KEEP_WEIGHTS])
    for version in versions.exclude(pk__in=kept).exclude(in_use=True):
        weights_path(project_id, version.number).unlink(missing_ok=True)
        ModelVersion.objects.filter(pk=version.pk).update(weights_removed=True)


def used_digests(project_id: int) -> set[str]:
    """Encoder digests that a kept model or a current encoding still needs."""
    of_models = ModelVersion.objects.filter(project_id=project_id, weights_removed=False)
    digests = set(of_models.values_list("encoder_digest", flat=True))
    newest: dict[tuple[str, str], str] = {}
    for encoding in Encoding.objects.filter(project_id=project_id).order_by("pk"):
        newest[encoding.encoder, repr(sorted(encoding.params.items()))] = encoding.digest
    return digests | set(newest.values())
