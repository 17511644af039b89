"""What the strategies that choose from groups share: dealing from them in turns."""

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Ints
from acquisition.ranking import Note

MAX_CLUSTERS = 500


def capped_note(clusters: int, wanted: int) -> tuple[Note, ...]:
    if clusters >= wanted:
        return ()
    message = f"{clusters} clusters instead of {wanted}; further items are dealt from them in turns."
    return (Note("clusters", message, {"clusters": clusters, "wanted": wanted}),)


def deal(cluster: Ints, utility: npt.NDArray[np.floating], precedence: Ints) -> Ints:
    """Rows in the order of dealing: the best of each cluster by precedence (C,), then the second best of each...

    cluster (n,) and utility (n,) of the rows; precedence: cluster numbers, first to be dealt from first. Utilities
    that agree in their first 16 bits are equal (the two members of a pair are as far from its middle, but for
    rounding): the lower row comes first.
    """
    turn = np.empty_like(precedence)
    turn[precedence] = np.arange(len(precedence))
    best_first = np.lexsort((-_in_short(utility), cluster))
    sizes = np.bincount(cluster, minlength=len(precedence))
    starts = np.cumsum(sizes) - sizes
    round_of = np.empty(len(cluster), dtype=np.int64)
    round_of[best_first] = np.arange(len(cluster)) - starts[cluster[best_first]]
    return np.lexsort((turn[cluster], round_of))


def _in_short(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Rounded to 16 bits."""
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(mantissa * 2.0**16), exponent), dtype=np.float64)
