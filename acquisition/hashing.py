"""Fixed pseudo-random 64-bit numbers attached to item ids: tie-breaks, subsamples, exploration keys."""

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


def item_keys(seed: int, ids: npt.NDArray[np.int64]) -> Keys:
    """uint64 (n,): the SplitMix64 generator, started at the scrambled seed, read at place `id + 1`.

    A function of (seed, id) alone, the same on every machine and in every version; different ids never collide
    under one seed. Source: Steele, Lea and Flood 2014, 'Fast splittable pseudorandom number generators'.
    """
    start = _scramble_integer((seed + _GAMMA) & _MASK)
    state = ids.astype(np.uint64)
    state += np.uint64(1)
    state *= np.uint64(_GAMMA)
    state += np.uint64(start)
    return _scramble(state)


def uniforms(keys: Keys) -> npt.NDArray[np.float64]:
    """Keys as numbers strictly between 0 and 1 (52 bits: the half would round to 1 in the 53rd)."""
    values: npt.NDArray[np.float64] = (keys >> np.uint64(12)).astype(np.float64)
    values += 0.5
    values *= 2.0**-52
    return values


def draw_seed(rng: np.random.Generator) -> int:
    """One 64-bit seed from the generator."""
    return int(rng.integers(0, _MASK, dtype=np.uint64, endpoint=True))


def _scramble(state: Keys) -> Keys:
    """In place on `state`."""
    state ^= state >> np.uint64(30)
    state *= np.uint64(_MIX_1)
    state ^= state >> np.uint64(27)
    state *= np.uint64(_MIX_2)
    state ^= state >> np.uint64(31)
    return state


def _scramble_integer(state: int) -> int:
    state = ((state ^ (state >> 30)) * _MIX_1) & _MASK
    state = ((state ^ (state >> 27)) * _MIX_2) & _MASK
    return state ^ (state >> 31)
