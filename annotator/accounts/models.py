"""People and the tokens their programs use."""

from __future__ import annotations

import hashlib
import secrets
import uuid

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from annotator.common.scopes import CHOICES, MANAGE, SCOPES


class User(AbstractUser):
    """A person. `pseudonym_secret` is what their names in exports are made from."""

    pseudonym_secret = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    must_change_password = models.BooleanField(default=False)

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username


def token_digest(plain: str) -> str:
    """SHA-256 of a token: tokens are 256-bit random, so a fast digest is enough and a lookup stays one index hit."""
    return hashlib.sha256(plain.encode()).hexdigest()


def every_scope() -> list[str]:
    return list(SCOPES)


class ApiToken(models.Model):
    """A program's key to a person's account. Only its digest is stored."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=20, choices=CHOICES),
        default=every_scope,
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return self.name

    @property
    def expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def scope_words(self) -> str:
        """What it may do, for people."""
        return "Everything" if MANAGE in self.scopes else ", ".join(self.scopes)

    @staticmethod
    def make_plain() -> str:
        return "ann_" + secrets.token_urlsafe(32)
