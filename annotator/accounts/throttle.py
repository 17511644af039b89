"""Guessing a password costs time: failures are counted in the cache, per name and address, per name, and per address."""

from __future__ import annotations

import hashlib
import time

from django.core.cache import cache

from annotator.common.errors import AnnotatorError

FREE_FAILURES = 5
FIRST_WAIT = 30  # seconds; each further failure doubles it
LONGEST_WAIT = 15 * 60
FORGET_AFTER = 60 * 60
# Ceilings over all addresses and over all names. High, and short in effect: one office shares an address, and nobody
# should be able to lock somebody else out for long.
NAME_FAILURES = 50
ADDRESS_FAILURES = 200
CEILING_WAIT = 60
KNOWN_FOR = 60 * 60 * 24 * 30


class TooManyAttempts(AnnotatorError):
    code, status = "too_many_attempts", 429


def begin_attempt(*, username: str, address: str, shared: bool = False) -> None:
    """Count an attempt to sign in, or raise TooManyAttempts while it has to wait.

    An attempt counts as failed until `succeed` is called, so that guesses sent at the same time count too. `shared`: the
    address is a proxy's, which all people have in common, and says nothing about one. A person who signed in from an
    address before is not held up there by what others guess elsewhere.
    """
    pair, name = _key(username, address), _key(username)
    ceilings = [] if cache.get(f"signin.known.{pair}") else [name]
    ceilings += [] if shared or not address else [_key("", address)]
    left = max(float(cache.get(f"signin.until.{key}") or 0.0) for key in (pair, *ceilings)) - time.time()
    if left > 0:
        raise TooManyAttempts(
            f"Too many failed attempts. Try again in {in_words(left)}.",
            hint="If you forgot your password, an administrator can give you a new one.",
            retry_after=round(left) + 1,
        )
    count = _count(pair)
    if count >= FREE_FAILURES:
        _wait(pair, min(FIRST_WAIT * 2 ** (count - FREE_FAILURES), LONGEST_WAIT))
    for key in ceilings:
        if _count(key) >= (NAME_FAILURES if key == name else ADDRESS_FAILURES):
            _wait(key, CEILING_WAIT)


def succeed(*, username: str, address: str) -> None:
    """Forget the failures: the right password was given. What others failed at stays counted."""
    pair = _key(username, address)
    cache.delete_many(
        [f"signin.{what}.{key}" for what in ("failures", "until") for key in (pair, _key(username))]
    )
    whole = f"signin.failures.{_key('', address)}"
    try:
        cache.decr(whole)
    except ValueError:
        return
    finally:
        cache.set(f"signin.known.{pair}", 1, KNOWN_FOR)


def in_words(seconds: float) -> str:
    """90.0 -> 'about 2 minutes'."""
    if seconds < 60:
        whole = max(1, round(seconds))
        return f"{whole} second{'' if whole == 1 else 's'}"
    minutes = max(1, round(seconds / 60))
    return f"about {minutes} minute{'' if minutes == 1 else 's'}"


def _count(key: str) -> int:
    failures = f"signin.failures.{key}"
    cache.add(failures, 0, FORGET_AFTER)
    try:
        return int(cache.incr(failures))
    except ValueError:  # it ran out between the two commands
        cache.set(failures, 1, FORGET_AFTER)
        return 1


def _wait(key: str, seconds: float) -> None:
    cache.set(f"signin.until.{key}", time.time() + seconds, seconds)


def _key(username: str, address: str = "") -> str:
    # Hashed: names come from outside, and cache keys allow neither spaces nor any length.
    return hashlib.sha256(f"{username.casefold()}\n{address}".encode()).hexdigest()
