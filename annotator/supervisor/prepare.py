"""Brings database, static files and demo up to date; one process, so that Django is loaded once."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import django
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from annotator import env


def main() -> int:
    """Check, migrate, collect static files, make the first administrator, seed; 1 when the checks find errors."""
    django.setup()
    try:
        call_command("check", fail_level="ERROR", stdout=sys.stdout)
    except SystemCheckError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    from annotator.common.errors import AnnotatorError
    from annotator.operations.backup import before_upgrade

    try:
        kept = before_upgrade()
    except AnnotatorError as error:
        sys.stderr.write(f"{error.message} {error.hint}\n")
        return 1
    if kept is not None:
        sys.stdout.write(f"The database was saved to {kept} before the upgrade.\n")
    call_command("migrate", interactive=False, verbosity=1)
    call_command("ensure_admin")
    collect_static(Path(settings.STATIC_ROOT))
    if env.boolean("ANNOTATOR_DEMO"):
        call_command("seed_demo")
    return 0


def collect_static(target: Path) -> bool:
    """Collect static files when a source is new, changed or gone; whether it was needed."""
    stamp = target.with_name(f"{target.name}.stamp")
    digest = sources_digest()
    if target.is_dir() and stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return False
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    stamp.write_text(digest, encoding="ascii")
    return True


def sources_digest() -> str:
    """Digest of names, sizes and times of all static sources and of the storage that prepares them."""
    digest = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
    for finder in get_finders():
        for name, storage in finder.list([]):
            found = Path(storage.path(name)).stat()
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
