"""Backups of everything, and of the database alone before an upgrade. The application may run meanwhile."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from annotator.operations import archive, postgres_tools
from annotator.operations.archive import BackupError, Manifest, Progress
from annotator.operations.health import migration_state

KEPT = 3


def back_up(
    *, target: Path, with_features: bool = False, with_secrets: bool = False, progress: Progress
) -> Manifest:
    """One file with the database and the files that belong to it; it appears under its name when it is whole.

    The dump comes first: files are only added to, so that those it names are there when their turn comes.
    """
    if target.exists():
        raise BackupError(
            f"{target} exists already.", hint="Choose another name: backups never replace one another."
        )
    if not target.parent.is_dir():
        raise BackupError(f"There is no folder {target.parent}.", hint="Make it, or choose another.")
    home = Path(settings.HOME)
    folders = [*archive.FOLDERS, *(["features"] if with_features else [])]
    total = database_size() + sum(path.stat().st_size for _, path in archive.files_below(home, folders))
    archive.require_space(target.parent, total, "The backup")
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    fresh = Path(name)
    try:
        manifest = _write(fresh, home, folders, total, with_secrets=with_secrets, progress=progress)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return manifest


def database_size() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def applied_migrations() -> list[str]:
    """What the database says of itself, as 'app.name'."""
    return sorted(f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations())


def before_upgrade() -> Path | None:
    """A dump of the database when this release is about to change one that holds something; the last three are kept.

    Raises BackupError when the database belongs to a newer release: an older one must not touch it.
    """
    missing, unknown = migration_state()
    if unknown:
        raise BackupError(
            f"The database belongs to a newer release: {unknown[0]} is unknown to release {archive.release()}.",
            hint="Install the newer release again, or restore the backup that was made before the upgrade "
            "('backups' in the data folder, or 'python manage.py restore').",
        )
    if not missing or not applied_migrations() or not settings.UPGRADE_BACKUP:
        return None
    folder = Path(settings.HOME) / "backups"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    archive.require_space(folder, database_size(), "The backup before the upgrade")
    target = folder / f"before-{archive.release()}-{timezone.now():%Y%m%d-%H%M%S}.dump"
    fresh = target.with_name(f".{target.name}")
    try:
        postgres_tools.dump(fresh)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    for old in sorted(folder.glob("before-*.dump"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink()
    return target


def _write(
    fresh: Path, home: Path, folders: Iterable[str], total: int, *, with_secrets: bool, progress: Progress
) -> Manifest:
    manifest = Manifest(
        made_at=timezone.now().isoformat(),
        release=archive.release(),
        postgres=postgres_tools.server_major(),
        migrations=applied_migrations(),
        folders=list(folders),
    )
    with (
        tempfile.TemporaryDirectory(prefix=".dump-", dir=fresh.parent) as work,
        zipfile.ZipFile(fresh, "w", zipfile.ZIP_STORED) as packing,
    ):
        dump = Path(work) / archive.DUMP
        postgres_tools.dump(dump)
        manifest.files[archive.DUMP] = archive.write_member(packing, archive.DUMP, dump)
        dump.unlink()
        done = database_size()
        progress(done, total)
        secrets = [(name, home / name) for name in archive.SECRETS if with_secrets and (home / name).exists()]
        for name, path in (*archive.files_below(home, folders), *secrets):
            member = f"{archive.FILES}{name}"
            try:
                path.stat()
            except FileNotFoundError:
                continue  # removed since: the application prunes what nothing needs any more
            manifest.files[member] = archive.write_member(packing, member, path)
            done += manifest.files[member][0]
            progress(done, max(done, total))
        archive.write_manifest(packing, manifest)
    return manifest
