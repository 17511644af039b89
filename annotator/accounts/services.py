"""What happens to accounts: people are made, let in, given new passwords, sent away; tokens come and go."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.contrib.auth import authenticate
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from annotator.accounts import throttle
from annotator.accounts.models import ApiToken, User, token_digest
from annotator.common.errors import Conflict, Forbidden, Invalid, NotFound
from annotator.common.scopes import SCOPES

logger = logging.getLogger(__name__)

# No letters or digits that are taken for one another when read aloud or copied from paper.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
MAX_TOKENS = 50


def generate_password() -> str:
    """A password of 79 random bits in four groups."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(4))


def check_password(
    *, request: HttpRequest | None, username: str, password: str, address: str, shared: bool = False
) -> User:
    """The person with this name and password; raises Invalid, or TooManyAttempts after too many failures."""
    throttle.begin_attempt(username=username, address=address, shared=shared)
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        raise Invalid(
            "This name and password do not fit.",
            code="wrong_password",
            hint="Both are case-sensitive. A deactivated account cannot sign in.",
        )
    throttle.succeed(username=username, address=address)
    return user


def create_person(
    *,
    username: str,
    by: User,
    first_name: str = "",
    last_name: str = "",
    email: str = "",
    administrator: bool = False,
) -> tuple[User, str]:
    """A new account with a one-time password, which is returned and stored nowhere."""
    _require_administrator(by)
    password = generate_password()
    user = User(
        username=username,
        first_name=first_name,
        last_name=last_name,
        email=email,
        must_change_password=True,
        is_staff=administrator,
        is_superuser=administrator,
    )
    return save_new_user(user, password), password


def save_new_user(user: User, password: str) -> User:
    """Store a new account; raises Conflict when its name is taken in any spelling of case."""
    user.set_password(password)
    try:
        with transaction.atomic():
            if User.objects.filter(username__iexact=user.username).exists():
                raise Conflict(f"The name {user.username!r} is taken.", code="name_taken")
            user.save()
    except IntegrityError as error:
        raise Conflict(f"The name {user.username!r} is taken.", code="name_taken") from error
    return user


def change_password(*, user: User, password: str) -> None:
    """A password the person chose. Their other sessions end, since sessions depend on the password."""
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    transaction.on_commit(lambda: _forget_first_login(user.username))


def reset_password(*, user: User, by: User) -> str:
    """A one-time password instead of the old one; all sessions and tokens end. The person must choose another at sign-in."""
    _require_administrator(by)
    if not user.is_active:
        raise Conflict(
            f"{user.username} is deactivated.", code="inactive", hint="Reactivate the account first."
        )
    with transaction.atomic():
        # Whoever asks for a reset may have lost more than a password: programs must be let in anew.
        user.api_tokens.all().delete()
        return _give_password(user)


def deactivate(*, user: User, by: User) -> None:
    """Close an account: sessions and tokens end for good. What the person did stays, and stays theirs."""
    _require_administrator(by)
    if user.pk == by.pk:
        raise Conflict("You cannot deactivate yourself.", code="self", hint="Ask another administrator.")
    with transaction.atomic():
        _keep_an_administrator(user)
        user.is_active = False
        # Sessions depend on the password: with the old one gone they stay dead after a reactivation too.
        user.set_unusable_password()
        user.save(update_fields=["is_active", "password"])
        user.api_tokens.all().delete()
    logger.info("%s deactivated %s", by.pk, user.pk)


def reactivate(*, user: User, by: User) -> str:
    """Open an account again; returns its one-time password."""
    _require_administrator(by)
    if user.is_active:
        raise Conflict(f"{user.username} is active.", code="active")
    user.is_active = True
    return _give_password(user)


def set_administrator(*, user: User, administrator: bool, by: User) -> None:
    """Give or take the right to manage people and see all projects. One administrator always stays."""
    _require_administrator(by)
    with transaction.atomic():
        if not administrator:
            _keep_an_administrator(user)
        user.is_staff = user.is_superuser = administrator
        user.save(update_fields=["is_staff", "is_superuser"])
    logger.info("%s set administrator=%s for %s", by.pk, administrator, user.pk)


def create_token(
    *, user: User, name: str, scopes: Collection[str] = SCOPES, days: int | None = None
) -> tuple[ApiToken, str]:
    """A new token and its plain text, which is shown once and stored nowhere. `days` None: it never expires."""
    if user.api_tokens.count() >= MAX_TOKENS:
        raise Conflict(f"You have {MAX_TOKENS} tokens already.", code="too_many_tokens", hint="Revoke some.")
    plain = ApiToken.make_plain()
    token = ApiToken.objects.create(
        user=user,
        name=name,
        digest=token_digest(plain),
        scopes=[scope for scope in SCOPES if scope in scopes],
        expires_at=None if days is None else timezone.now() + timedelta(days=days),
    )
    return token, plain


def revoke_token(*, user: User, token_id: int) -> None:
    """Delete one of the person's tokens; it stops working at once."""
    deleted, _ = ApiToken.objects.filter(user=user, pk=token_id).delete()
    if not deleted:
        raise NotFound("You have no such token.", hint="It may have been revoked already.")


def ensure_admin(*, home: Path) -> bool:
    """The first administrator, when there is nobody yet; login and password go into a file only its owner can read.

    Returns whether the account was made. Two processes that start at once make one.
    """
    with transaction.atomic():
        if User.objects.exists():
            return False
        password = generate_password()
        user = User(username="admin", is_staff=True, is_superuser=True)
        user.set_password(password)
        try:
            with transaction.atomic():
                user.save()
        except IntegrityError:
            return False
        # Before the commit: an account whose password nobody can read must not come to be.
        _write_private(home / "admin.txt", f"admin {password}\n")
    return True


def _give_password(user: User) -> str:
    password = generate_password()
    user.set_password(password)
    user.must_change_password = True
    user.save(update_fields=["password", "must_change_password", "is_active"])
    transaction.on_commit(lambda: _forget_first_login(user.username))
    return password


def _require_administrator(by: User) -> None:
    if not by.is_superuser:
        raise Forbidden("Only administrators may do this.")


def _keep_an_administrator(user: User) -> None:
    """Raise Conflict when `user` is the last administrator; locks them, so that two do not leave together."""
    administrators = list(
        User.objects.select_for_update()
        .filter(is_superuser=True, is_active=True)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    if administrators == [user.pk]:
        raise Conflict(
            "There must be an administrator.", code="last_administrator", hint="Name another first."
        )


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8")


def _forget_first_login(username: str) -> None:
    """Remove the file with the generated login once its password is no longer the one."""
    path = Path(settings.HOME) / "admin.txt"
    try:
        known = path.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return
    if known[:1] == [username]:
        path.unlink(missing_ok=True)
