from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotator.common.errors import AnnotatorError
from annotator.operations import restore, stores
from annotator.operations.progress import Line
from annotator.supervisor.errors import StartError

NEXT = """{what} is restored into {home}.
- Start the application: 'python -m annotator.supervisor' (or 'make run', or the containers).
- Everybody has to sign in again, with the passwords of that time; API tokens are those of that time too.
- Features that were not in the backup are computed again by themselves.
- 'python manage.py selfcheck' says whether anything else is to be done."""


class Command(BaseCommand):
    help = "Put a backup in place of what the data folder and its database hold. The application must be stopped."
    # A database that is empty or older is what this command is for.
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            type=Path,
            metavar="FILE",
            help="The archive that 'backup' made, or a dump of the database from 'backups' in the data folder.",
        )
        parser.add_argument(
            "--into", type=Path, metavar="HOME", help="Another data folder than ANNOTATOR_HOME."
        )
        parser.add_argument("--force", action="store_true", help="Overwrite what is there.")

    def handle(self, *args: Any, **options: Any) -> None:
        file, into, force = options["file"].absolute(), options["into"], options["force"]
        home = Path(settings.HOME)
        if into is not None and into.absolute() != home:
            arguments = ["restore", str(file), *(["--force"] if force else [])]
            if status := stores.elsewhere(into.absolute(), arguments):
                raise CommandError("The restore did not succeed.", returncode=status)
            return
        try:
            manifest = None if restore.is_dump(file) else restore.inspect(file)
            with stores.reached(stopped=True):
                self._require_leave(home, force=force)
                if manifest is None:
                    restore.restore_dump(file, home=home)
                else:
                    restore.restore(
                        file=file, manifest=manifest, home=home, progress=Line(self.stderr, "Unpacking")
                    )
        except AnnotatorError as error:
            raise CommandError(f"{error.message} {error.hint}".strip()) from error
        except (StartError, OSError) as error:
            raise CommandError(str(error)) from error
        what = (
            f"The backup of {manifest.made_at[:19]} (release {manifest.release})"
            if manifest
            else f"The database of {file.name}, without files,"
        )
        self.stdout.write(NEXT.format(what=what, home=home))

    def _require_leave(self, home: Path, *, force: bool) -> None:
        if others := restore.others_connected():
            raise CommandError(
                f"{others} other sessions use the database: stop every process of the application first."
            )
        if (held := restore.holdings(home)) and not force:
            raise CommandError(
                f"The target is not empty ({', '.join(held)}): back it up, then give --force to overwrite it."
            )
