"""Step 7: what people should know about the ranking they are served."""

from __future__ import annotations

from annotator.learning.folders import prune
from annotator.learning.stability import stability
from annotator.learning.work import Work

MANY_TIES = 0.5


def health(work: Work) -> None:
    """Shares, ties, exploration achieved, agreement with the model before, what is degraded -> the round; old files go."""
    found = work.round.health
    window, pool = found.get("window", 0), found.get("pool", 0)
    found["exploration_share"] = found.get("exploration", 0) / window if window else 0.0
    found["scored_share"] = found.get("scored", 0) / pool if pool else 1.0
    degraded = [found["fell_back"]] if found.get("fell_back") else []
    if found.get("ties", 0.0) > MANY_TIES and work.round.strategy != "random":
        degraded.append(f"{100 * found['ties']:.0f} % of the items tie with another one.")
    if found.get("unscored"):
        degraded.append(f"{found['unscored']:,} items wait for their features; every tenth place is theirs.")
    notes = {note["code"]: note["message"] for note in found.get("notes", ())}
    # A strategy without an opinion, one that filled places at random, filters that hold everything back or cannot work.
    silent = () if "sampled" in notes else ("unscored", "filled")
    degraded += [notes[code] for code in (*silent, "filter-off") if code in notes]
    if found.get("held") and found["held"] == found.get("pool", 0) - found.get("started", 0):
        degraded.append("No item passes the filters; items come in another order all the same.")
    found["degraded"] = degraded
    found["stability"] = stability(work)
    prune(work.round.project_id)
