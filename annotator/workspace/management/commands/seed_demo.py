"""Makes the demo projects on an empty installation; does nothing on any other."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from django.core.management.base import BaseCommand

from annotator import env
from annotator.accounts.models import User
from annotator.projects.models import Project
from annotator.workspace.demo.seeding import DEMOS, gold_path, seed


class Command(BaseCommand):
    help = "Make the demo projects, unless ANNOTATOR_DEMO is off or there is any project."

    def handle(self, *args: Any, **options: Any) -> None:
        if not env.boolean("ANNOTATOR_DEMO") or Project.objects.exists():
            return
        owner = User.objects.filter(is_superuser=True).order_by("pk").first()
        if owner is None:
            self.stderr.write("There is no administrator yet who could own the demo projects.")
            return
        started = perf_counter()
        projects = seed(owner=owner)
        names = " and ".join(project.name for project in projects)
        self.stdout.write(f"Demo projects {names} made in {perf_counter() - started:.1f} s.")
        for demo in DEMOS:
            self.stdout.write(f"  true labels of {demo.name}: {gold_path(demo.slug)}")
