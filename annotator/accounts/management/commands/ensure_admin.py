from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from annotator.accounts.services import ensure_admin


class Command(BaseCommand):
    help = "Make the first administrator, when nobody has an account yet. The login stands in admin.txt in the data folder."

    def handle(self, *args: Any, **options: Any) -> None:
        if ensure_admin(home=settings.HOME):
            self.stdout.write(
                "Made the first administrator; the login stands in admin.txt in the data folder."
            )
