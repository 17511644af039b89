"""Settings are read by type, fail in sentences, and are all declared."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from annotator import env
from annotator.env import Kind, SettingError

REFERENCE = env.ROOT / "docs" / "reference" / "settings.md"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in env.DECLARED:
        monkeypatch.delenv(setting.name, raising=False)
        monkeypatch.delenv(f"{setting.name}_FILE", raising=False)


def test_every_default_can_be_read() -> None:
    assert env.problems() == []


def test_the_reference_page_is_current() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == env.reference(), (
        "python -m annotator.env > docs/reference/settings.md"
    )


def test_every_variable_read_by_the_settings_is_declared() -> None:
    source = (env.ROOT / "annotator" / "settings.py").read_text(encoding="utf-8")
    assert "os.environ" not in source
    assert "getenv" not in source


@pytest.mark.parametrize("value", ["1", "on", "TRUE", "yes"])
def test_a_switch_can_be_on(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DEBUG", value)
    assert env.boolean("DEBUG") is True


@pytest.mark.parametrize("value", ["0", "off", "False", "no"])
def test_a_switch_can_be_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ANNOTATOR_DEMO", value)
    assert env.boolean("ANNOTATOR_DEMO") is False


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ANNOTATOR_PORT", "http", "ANNOTATOR_PORT='http' is not a whole number: write something like 8000"),
        ("ANNOTATOR_PORT", "70000", "ANNOTATOR_PORT=70000 is out of range (1 to 65535)"),
        ("ANNOTATOR_WEB_THREADS", "0", "ANNOTATOR_WEB_THREADS=0 is out of range"),
        ("DEBUG", "maybe", "DEBUG='maybe' is neither on nor off"),
        ("ANNOTATOR_LOG_LEVEL", "LOUD", "ANNOTATOR_LOG_LEVEL='LOUD' is not one of DEBUG, INFO"),
        ("DATABASE_URL", "mysql://x/y", "DATABASE_URL is not a PostgreSQL address"),
        ("DATABASE_URL", "postgresql://x", "DATABASE_URL names no database"),
        ("DATABASE_URL", "postgresql://x:99999/y", "DATABASE_URL has a port"),
        ("REDIS_URL", "amqp://x", "REDIS_URL is not a Redis address"),
        ("REDIS_URL", "redis://x/first", "REDIS_URL names database 'first'"),
        ("SECRET_KEY_FILE", "/nowhere/key", "SECRET_KEY_FILE='/nowhere/key' cannot be read"),
    ],
)
def test_a_wrong_value_is_told_with_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    (problem,) = env.problems()
    assert problem.startswith(message)


def test_a_password_in_an_address_is_never_repeated_in_a_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hush-hush@host:nonsense/name")
    monkeypatch.setenv("REDIS_URL", "http://:hush-hush@host/")
    assert len(env.problems()) == 2
    assert "hush" not in " ".join(env.problems())


def test_an_empty_value_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNOTATOR_PORT", "")
    assert env.integer("ANNOTATOR_PORT") == 8000


def test_a_list_has_no_empty_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", " a.example , ,b.example,")
    assert env.items("ALLOWED_HOSTS") == ["a.example", "b.example"]


def test_a_relative_folder_starts_at_the_checkout_wherever_one_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert env.path("ANNOTATOR_HOME") == env.ROOT / "var"


def test_a_setting_is_read_as_what_it_is_declared() -> None:
    with pytest.raises(TypeError, match="declared as integer"):
        env.text("ANNOTATOR_PORT")


def test_a_slip_of_the_pen_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNOTATOR_PROT", "9000")
    monkeypatch.setenv("ANNOTATOR_SHARED", "/data")
    assert env.unknown_variables() == ["ANNOTATOR_PROT"]


def test_a_secret_can_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 40 + "\n")
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "key"))
    assert env.secret_key(tmp_path) == "k" * 40


def test_a_secret_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 40)
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("SECRET_KEY", "j" * 40)
    with pytest.raises(SettingError, match="both set"):
        env.secret_key(tmp_path)


def test_a_secret_key_is_made_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    made = env.secret_key(home)
    assert len(made) >= 50
    assert env.secret_key(home) == made
    assert stat.S_IMODE((home / "secret_key").stat().st_mode) == 0o600
    assert [file.name for file in home.iterdir()] == ["secret_key"]


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    assert env.secret_key(tmp_path / "a") != env.secret_key(tmp_path / "b")


def test_a_short_secret_key_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_KEY", "short")
    with pytest.raises(SettingError, match="32 are the least"):
        env.secret_key(tmp_path)


def test_a_database_address_with_everything_in_it() -> None:
    config = env.database_config("postgresql://me:p%40ss@db.example:6432/labels?sslmode=require")
    assert config["NAME"] == "labels"
    assert (config["USER"], config["PASSWORD"]) == ("me", "p@ss")
    assert (config["HOST"], config["PORT"]) == ("db.example", "6432")
    assert config["OPTIONS"]["sslmode"] == "require"
    assert config["CONN_MAX_AGE"] > 0


def test_the_socket_process_pools_connections_as_it_cannot_keep_them() -> None:
    config = env.database_config("postgresql://h/labels", process="sockets")
    assert config["CONN_MAX_AGE"] == 0
    assert config["OPTIONS"]["pool"]["max_size"] >= 2


def test_a_redis_socket_in_the_form_each_user_takes() -> None:
    assert env.redis_urls("unix:///a/r.sock?db=4") == {
        "broker": "redis+socket:///a/r.sock?virtual_host=4",
        "cache": "unix:///a/r.sock?db=6",
        "channels": "unix:///a/r.sock?db=7",
    }


def test_a_redis_server_in_the_form_each_user_takes() -> None:
    assert env.redis_urls("rediss://:pw@host:6380/1?ssl_cert_reqs=none") == {
        "broker": "rediss://:pw@host:6380/1?ssl_cert_reqs=none",
        "cache": "rediss://:pw@host:6380/3?ssl_cert_reqs=none",
        "channels": "rediss://:pw@host:6380/4?ssl_cert_reqs=none",
    }


def test_own_servers_have_addresses_that_the_readers_accept(tmp_path: Path) -> None:
    home = tmp_path / "a folder with ünlauts"
    urls = env.embedded_urls(home)
    assert env.database_config(urls["database"])["HOST"] == str(env.socket_folder(home))
    assert "%20" in env.redis_urls(urls["redis"])["broker"] or "annotator-" in urls["redis"]


def test_a_deep_data_folder_has_its_sockets_where_the_path_is_short() -> None:
    deep = Path("/srv") / ("deep" * 30)
    folder = env.socket_folder(deep)
    assert len(str(folder / ".s.PGSQL.5432")) < 108
    assert folder == env.socket_folder(deep) != env.socket_folder(deep / "other")
    assert env.socket_folder(Path("/srv/a")) == Path("/srv/a/run")


def test_every_setting_says_what_it_is_for() -> None:
    assert all(setting.help.endswith(".") for setting in env.DECLARED)
    assert len(env.BY_NAME) == len(env.DECLARED)


def test_no_secret_has_a_default() -> None:
    assert all(setting.default == "" for setting in env.DECLARED if setting.kind is Kind.SECRET)
