"""PostgreSQL and Redis on folders of their own: stale files, crashes, what is kept."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from annotator.supervisor import children, folders, postgres, redis
from annotator.supervisor.errors import StartError
from tests.supervisor.helpers import FOREVER, eventually, python


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A short path: sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="stores-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    postgres.prepare(folder / "postgres", folder / "run", sync=False)
    return folder / "postgres"


@pytest.fixture(scope="module")
def sockets(folder: Path) -> Path:
    return folder / "run"


@contextmanager
def running_postgres(data: Path, sockets: Path) -> Iterator[subprocess.Popen[bytes]]:
    child = postgres.start(data, sockets, shared_buffers_mb=16, durable=False, output=subprocess.DEVNULL)
    try:
        postgres.wait_ready(child, data)
        yield child
    finally:
        children.stop(child, first=postgres.STOP_SIGNAL)


def answer(sockets: Path, database: str = "postgres") -> object:
    with psycopg.connect(host=str(sockets), user=postgres.SUPERUSER, dbname=database) as connection:
        return connection.execute("SELECT count(*) FROM pg_database WHERE datname = 'pets'").fetchone()


def test_a_database_is_made_once_and_survives_a_restart(data: Path, sockets: Path) -> None:
    with running_postgres(data, sockets):
        postgres.make_database(sockets, "pets")
        postgres.make_database(sockets, "pets")
    with running_postgres(data, sockets):
        assert answer(sockets, "pets") == (1,)


def test_it_leaves_in_order_when_asked(data: Path, sockets: Path) -> None:
    with running_postgres(data, sockets) as child:
        assert children.stop(child, first=postgres.STOP_SIGNAL) == 0
    assert not (data / "postmaster.pid").exists()


def test_it_starts_again_after_it_was_killed(data: Path, sockets: Path) -> None:
    with running_postgres(data, sockets) as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert (data / "postmaster.pid").exists()

    def starts() -> bool:  # the killed server's own children need a moment to notice
        try:
            with running_postgres(data, sockets):
                return answer(sockets) is not None
        except StartError:
            return False

    eventually(starts)


def test_a_pid_file_whose_number_a_stranger_has_does_not_stop_the_start(data: Path, sockets: Path) -> None:
    stranger = children.spawn(python(FOREVER))
    try:
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n1\n5432\n{sockets}\n\n0 0\nready\n")
        (sockets / ".s.PGSQL.5432.lock").write_text(f"{stranger.pid}\n{data}\n1\n5432\n{sockets}\n\n")
        with running_postgres(data, sockets):
            assert answer(sockets) is not None
        assert stranger.poll() is None
    finally:
        children.stop(stranger)


def test_a_server_of_an_earlier_run_is_stopped_first(data: Path, sockets: Path) -> None:
    with running_postgres(data, sockets) as earlier, running_postgres(data, sockets):
        assert earlier.wait(20) == 0
        assert answer(sockets) is not None


def test_a_server_that_leaves_while_starting_is_told(data: Path, sockets: Path) -> None:
    child = postgres.start(data, sockets, connections=0, output=subprocess.DEVNULL)
    with pytest.raises(StartError, match="left with status 1 while starting"):
        postgres.wait_ready(child, data)


def test_only_the_owner_can_enter_data_and_sockets(data: Path, sockets: Path) -> None:
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (data, sockets)] == [0o700, 0o700]


def test_data_of_another_release_is_refused_in_words(tmp_path: Path, sockets: Path) -> None:
    other = tmp_path / "postgres"
    other.mkdir()
    (other / "PG_VERSION").write_text("15\n")
    with pytest.raises(StartError, match="was made by PostgreSQL 15, this is 18"):
        postgres.prepare(other, sockets)


def test_variables_of_another_server_do_not_reach_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("SECRET_KEY", "hush")
    assert not {"PGPORT", "SECRET_KEY"} & set(postgres._plain_environment())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for PostgreSQL")
def test_as_root_only_the_servers_user_may_pass_through_a_closed_parent(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    postgres.prepare(closed / "postgres", closed / "run", sync=False)
    as_others = {"check": False, "capture_output": True}
    look = ["/bin/sh", "-c", f"cd {closed / 'postgres'}"]
    assert subprocess.run(look, **children.identity(postgres.SYSTEM_USER), **as_others).returncode == 0
    listing = ["/bin/sh", "-c", f"ls {closed}"]
    assert subprocess.run(listing, **children.identity(postgres.SYSTEM_USER), **as_others).returncode != 0
    assert subprocess.run(listing, **children.identity("nobody"), **as_others).returncode != 0
    passing = ["/bin/sh", "-c", f"test -d {closed / 'postgres'}"]
    assert subprocess.run(passing, **children.identity("nobody"), **as_others).returncode != 0
    with running_postgres(closed / "postgres", closed / "run"):
        assert answer(closed / "run") is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a folder of somebody else")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    with pytest.raises(StartError, match="belongs to user 12345"):
        folders.private(theirs)


def test_a_link_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StartError, match="is not a folder"):
        folders.private(tmp_path / "link")


def test_redis_keeps_sessions_over_a_restart(folder: Path) -> None:
    data, sockets = folder / "redis", folder / "redis-run"
    redis.prepare(data, sockets)
    for known in (None, b"ada"):
        child = redis.start(data, sockets, output=subprocess.DEVNULL)
        try:
            redis.wait_ready(child, sockets)
            with Redis(unix_socket_path=str(sockets / redis.SOCKET)) as client:
                assert client.get("session") == known
                client.set("session", "ada")
        finally:
            assert children.stop(child) == 0


def test_redis_listens_on_no_network_address(folder: Path) -> None:
    data, sockets = folder / "redis-net", folder / "redis-net-run"
    redis.prepare(data, sockets)
    child = redis.start(data, sockets, durable=False, output=subprocess.DEVNULL)
    try:
        redis.wait_ready(child, sockets)
        with Redis(unix_socket_path=str(sockets / redis.SOCKET)) as client:
            assert client.config_get("port") == {"port": "0"}
    finally:
        children.stop(child)


def test_a_redis_that_leaves_while_starting_is_told(folder: Path) -> None:
    data, sockets = folder / "redis-bad", folder / "redis-bad-run"
    redis.prepare(data, sockets)
    child = redis.start(data, sockets, databases=0, output=subprocess.DEVNULL)
    with pytest.raises(StartError, match="Redis left with status 1"):
        redis.wait_ready(child, sockets)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for PostgreSQL")
def test_without_access_lists_only_the_data_folder_itself_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "setxattr", unsupported)
    user = postgres.system_user()
    assert user is not None
    tmp_path.chmod(0o700)
    with pytest.raises(StartError, match=r"cannot pass through .*: run 'chmod o\+x "):
        folders.let_reach(tmp_path / "postgres", user, home=Path("/elsewhere"))
    monkeypatch.setattr(folders, "_can_search", lambda folder, *_: folder != tmp_path)
    folders.let_reach(tmp_path / "postgres", user, home=tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o711
