"""Guessing a password costs time: failures per account and address are counted in the cache."""

from __future__ import annotations

import hashlib
import time

from django.core.cache import cache

from annotator.common.errors import AnnotatorError

FREE_FAILURES = 5
FIRST_WAIT = 30  # seconds; each further failure doubles it
LONGEST_WAIT = 15 * 60
FORGET_AFTER = 60 * 60


class TooManyAttempts(AnnotatorError):
    code, status = "too_many_attempts", 429


def begin_attempt(*, username: str, address: str) -> None:
    """Count an attempt to sign in, or raise TooManyAttempts while the account has to wait for this address.

    An attempt counts as failed until `succeed` is called, so that guesses sent at the same time count too.
    """
    failures, until = _keys(username, address)
    left = float(cache.get(until) or 0.0) - time.time()
    if left > 0:
        raise TooManyAttempts(
            f"Too many failed attempts. Try again in {in_words(left)}.",
            hint="If you forgot your password, an administrator can give you a new one.",
            retry_after=round(left) + 1,
        )
    cache.add(failures, 0, FORGET_AFTER)
    try:
        count = cache.incr(failures)
    except ValueError:  # it ran out between the two commands
        cache.set(failures, 1, FORGET_AFTER)
        count = 1
    if count >= FREE_FAILURES:
        wait = min(FIRST_WAIT * 2 ** (count - FREE_FAILURES), LONGEST_WAIT)
        cache.set(until, time.time() + wait, wait)


def succeed(*, username: str, address: str) -> None:
    """Forget the failures: the right password was given."""
    cache.delete_many(_keys(username, address))


def in_words(seconds: float) -> str:
    """90.0 -> 'about 2 minutes'."""
    if seconds < 60:
        whole = max(1, round(seconds))
        return f"{whole} second{'' if whole == 1 else 's'}"
    minutes = max(1, round(seconds / 60))
    return f"about {minutes} minute{'' if minutes == 1 else 's'}"


def _keys(username: str, address: str) -> tuple[str, str]:
    # Hashed: names come from outside, and cache keys allow neither spaces nor any length.
    digest = hashlib.sha256(f"{username.casefold()}\n{address}".encode()).hexdigest()
    return f"signin.failures.{digest}", f"signin.until.{digest}"
