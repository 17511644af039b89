"""Accounts of simulated annotators: no password, one token each, gone after the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import ProtectedError

from annotator.accounts.models import ApiToken, User
from annotator.accounts.services import create_token

PREFIX = "simulated-"
DAYS = 7  # a token that is left behind dies by itself


@dataclass(frozen=True)
class Person:
    user: User
    token: str


def make_people(count: int) -> list[Person]:
    """Fresh accounts `simulated-N`; N goes on where other runs have theirs."""
    people = []
    with transaction.atomic(), connection.cursor() as cursor:
        # Of two simulations that begin together, one waits for the other's names.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [PREFIX])
        taken = set(User.objects.filter(username__startswith=PREFIX).values_list("username", flat=True))
        names = (f"{PREFIX}{n}" for n in range(1, count + len(taken) + 1))
        for name in [name for name in names if name not in taken][:count]:
            user = User.objects.create_user(username=name, password=None)
            _, token = create_token(user=user, name="simulate", days=DAYS)
            people.append(Person(user, token))
    return people


def remove_people(people: Sequence[Person]) -> None:
    """Delete the accounts; those whose answers are kept stay, closed."""
    for person in people:
        ApiToken.objects.filter(user=person.user).delete()
        try:
            User.objects.filter(pk=person.user.pk).delete()
        except ProtectedError:
            User.objects.filter(pk=person.user.pk).update(is_active=False)
