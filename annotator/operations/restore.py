"""Puts a backup in place of what a data folder and its database hold, while the application is stopped."""

from __future__ import annotations

import secrets
import shutil
import zipfile
from pathlib import Path

from django.core.cache import cache
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from annotator.celery import app as celery_app
from annotator.operations import archive, postgres_tools
from annotator.operations.archive import BackupError, Manifest, Progress

# Computed from what is replaced: kept, they would belong to other items.
DERIVED = ("features",)
COUNTED = ("accounts_user", "projects_project")


def inspect(file: Path) -> Manifest:
    """What a backup says of itself; refuses what this release cannot take over."""
    with _opened(file) as packed:
        manifest = archive.read_manifest(packed)
    _require_known(manifest.migrations, f"a newer release ({manifest.release})")
    return manifest


def is_dump(file: Path) -> bool:
    """Whether this is the database alone, as it is kept before an upgrade."""
    try:
        with file.open("rb") as reading:
            return reading.read(5) == b"PGDMP"
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror}.") from error


def restore_dump(file: Path, *, home: Path) -> None:
    """Put a dump of the database in place of what it holds; the files of the data folder stay as they are."""
    _require_known(postgres_tools.migrations_in(file), "a newer release")
    archive.require_space(home, file.stat().st_size * 10, "The restore")
    connection.close()
    postgres_tools.replace_database(file, work=home)
    _begin_anew()


def _require_known(migrations: list[str], whose: str) -> None:
    loader = MigrationLoader(None)
    known = {f"{app}.{name}" for app, name in loader.disk_migrations or {}}
    known |= {f"{app}.{name}" for m in (loader.disk_migrations or {}).values() for app, name in m.replaces}
    newer = sorted(set(migrations) - known)
    if newer:
        raise BackupError(
            f"This backup was made by {whose}: {newer[0]} is unknown to {archive.release()}.",
            hint="Install that release or a newer one, then restore.",
        )


def holdings(home: Path) -> list[str]:
    """What a restore would overwrite, in words; empty for a fresh target."""
    found = [f"files in {name}/" for name in archive.FOLDERS if any(archive.files_below(home, [name]))]
    try:
        with connection.cursor() as cursor:
            tables = set(connection.introspection.table_names(cursor))
            for table in COUNTED:
                if table not in tables:
                    continue
                cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - constant names
                if count := cursor.fetchone()[0]:
                    found.append(f"{count} rows of {table} in the database")
    except DatabaseError as error:
        raise BackupError(f"The database does not answer: {error}") from error
    return found


def others_connected() -> int:
    """Sessions in our database that are not ours: a restore would pull the tables from under them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def restore(*, file: Path, manifest: Manifest, home: Path, progress: Progress) -> None:
    """Unpack and check everything, then the database in one transaction, then the folders by renaming.

    Until the database is replaced an interruption changes nothing; after that, running it again completes it.
    """
    for leftover in home.glob(".restore-*"):
        shutil.rmtree(leftover)
    needed = sum(size for size, _ in manifest.files.values())
    archive.require_space(home, needed * 2, "The restore")
    work = home / f".restore-{secrets.token_hex(4)}"
    work.mkdir(mode=0o700)
    try:
        with _opened(file) as packed:
            archive.unpack(packed, manifest, work, progress)
        connection.close()
        postgres_tools.replace_database(work / archive.DUMP, work=work)
        _swap(work, home, manifest)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _begin_anew()


def _begin_anew() -> None:
    connection.close()
    call_command("migrate", interactive=False, verbosity=0)
    # Sessions live in the cache; messages in the broker name jobs of the database that is gone.
    cache.clear()
    celery_app.control.purge()


def _swap(work: Path, home: Path, manifest: Manifest) -> None:
    for name in (*manifest.folders, *DERIVED):
        old, new = home / name, work / archive.FILES / name
        if old.exists():
            old.rename(work / f"old-{name}")
        if new.exists():
            new.rename(old)
    for name in archive.SECRETS:
        given = work / archive.FILES / name
        if given.exists():
            given.chmod(0o600)
            given.replace(home / name)
    # Its password belongs to an account that is gone.
    (home / "admin.txt").unlink(missing_ok=True)


def _opened(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except FileNotFoundError as error:
        raise BackupError(f"There is no file {file}.") from error
    except (zipfile.BadZipFile, OSError) as error:
        raise BackupError(
            f"{file.name} is no backup of Annotator: {error}", hint="It may have been cut short."
        ) from error
