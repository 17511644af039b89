"""The environment, declared once as data and read through typed functions; `python -m annotator.env` prints its reference page."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote, urlencode

from annotator import env_values
from annotator.env_values import RedisUrls as RedisUrls
from annotator.env_values import SettingError as SettingError
from annotator.env_values import database_config as database_config
from annotator.env_values import redis_urls as redis_urls

ROOT = Path(__file__).resolve().parent.parent
LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes
DATABASE_NAME = "annotator"
# Read by tests and benchmarks only, so not a setting of the product.
READ_ELSEWHERE = frozenset({"ANNOTATOR_SHARED"})


class Kind(StrEnum):
    TEXT = "text"
    SECRET = "secret"  # noqa: S105
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    PATH = "path"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One variable of the environment; the default is written as it would be in the environment."""

    name: str
    kind: Kind
    help: str
    default: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


class EmbeddedUrls(TypedDict):
    database: str
    redis: str


DECLARED: tuple[Setting, ...] = (
    Setting(
        name="ANNOTATOR_HOME",
        kind=Kind.PATH,
        default="var",
        help="Folder that holds everything the application writes: database, uploads, models, logs, secrets. A relative path starts at the checkout.",
    ),
    Setting(
        name="ANNOTATOR_HOST",
        kind=Kind.TEXT,
        default="127.0.0.1",
        help="Address to listen on. `0.0.0.0` serves other machines; name them in ALLOWED_HOSTS then.",
    ),
    Setting(
        name="ANNOTATOR_PORT",
        kind=Kind.INTEGER,
        default="8000",
        minimum=1,
        maximum=65535,
        help="Port of the web server.",
    ),
    Setting(
        name="ANNOTATOR_SOCKET_PORT",
        kind=Kind.INTEGER,
        default="8001",
        minimum=1,
        maximum=65535,
        help="Port of the socket server, which carries live events. A browser that cannot reach it polls.",
    ),
    Setting(
        name="ANNOTATOR_SOCKET_URL",
        kind=Kind.TEXT,
        help="Public origin of the sockets where a proxy serves them under /ws/, such as `wss://label.example.org`. Empty: this host at ANNOTATOR_SOCKET_PORT.",
    ),
    Setting(
        name="DATABASE_URL",
        kind=Kind.SECRET,
        help="PostgreSQL to use, `postgresql://user:password@host:5432/name`. Empty: an own server is started on the data folder.",
    ),
    Setting(
        name="REDIS_URL",
        kind=Kind.SECRET,
        help="Redis to use, `redis://host:6379/0` or `unix:///path/redis.sock?db=0`. Database n is the broker, n+2 the cache, n+3 the live events. Empty: an own server is started on the data folder.",
    ),
    Setting(
        name="SECRET_KEY",
        kind=Kind.SECRET,
        help="Key that signs sessions and links, at least 32 characters. Empty: generated on the first run and kept in the data folder, readable by its owner only.",
    ),
    Setting(
        name="DEBUG",
        kind=Kind.BOOLEAN,
        default="off",
        help="Error pages with source code. Never on a server that others reach.",
    ),
    Setting(
        name="ALLOWED_HOSTS",
        kind=Kind.LIST,
        default="localhost,127.0.0.1,[::1]",
        help="Host names under which the application answers, separated by commas.",
    ),
    Setting(
        name="CSRF_TRUSTED_ORIGINS",
        kind=Kind.LIST,
        help="Origins that may send forms, with scheme, such as `https://label.example.org`. Needed behind a proxy that changes host or scheme.",
    ),
    Setting(
        name="ANNOTATOR_HTTPS",
        kind=Kind.BOOLEAN,
        default="off",
        help="The application is reached by https, through a proxy that sets X-Forwarded-Proto: secure cookies, HSTS, redirect from http.",
    ),
    Setting(
        name="ANNOTATOR_WEB_PROCESSES",
        kind=Kind.INTEGER,
        default="2",
        minimum=1,
        maximum=64,
        help="Web server processes.",
    ),
    Setting(
        name="ANNOTATOR_WEB_THREADS",
        kind=Kind.INTEGER,
        default="4",
        minimum=1,
        maximum=64,
        help="Threads in each web server process. Each holds one database connection.",
    ),
    Setting(
        name="ANNOTATOR_TRAIN_THREADS",
        kind=Kind.INTEGER,
        default="1",
        minimum=1,
        maximum=256,
        help="CPU threads for training and scoring. Small heads are fastest with one.",
    ),
    Setting(
        name="ANNOTATOR_STRATEGY_SECONDS",
        kind=Kind.INTEGER,
        default="120",
        minimum=1,
        help="Seconds that a strategy of another library or a plug-in may take before it is ended, and the round fails.",
    ),
    Setting(
        name="ANNOTATOR_STRATEGY_MB",
        kind=Kind.INTEGER,
        default="4096",
        minimum=128,
        help="Memory that a strategy of another library or a plug-in may use, in MiB, besides the features it is shown.",
    ),
    Setting(
        name="ANNOTATOR_POSTGRES_MB",
        kind=Kind.INTEGER,
        default="512",
        minimum=16,
        maximum=65536,
        help="Shared buffers of the own PostgreSQL, in MiB.",
    ),
    Setting(
        name="ANNOTATOR_MAX_UPLOAD_MB",
        kind=Kind.INTEGER,
        default="2048",
        minimum=1,
        maximum=1048576,
        help="Largest upload, in MiB.",
    ),
    Setting(
        name="ANNOTATOR_FETCH_ALLOW",
        kind=Kind.LIST,
        help="Networks that are not public but may be asked for images of URL lists and by webhooks, such as `10.1.0.0/16,fd12::/48`. Empty: public addresses only.",
    ),
    Setting(
        name="ANNOTATOR_FETCH_PORTS",
        kind=Kind.LIST,
        default="80,443,8000-8999",
        help="Ports that may be asked for images of URL lists and by webhooks.",
    ),
    Setting(
        name="ANNOTATOR_STORAGES",
        kind=Kind.SECRET,
        help='S3-style storages that managers may import from, as JSON: `{"name": {"endpoint": "https://s3.example.org", "bucket": "photos", "prefix": "", "access_key": "…", "secret_key": "…", "region": "us-east-1"}}`. The endpoints are trusted.',
    ),
    Setting(
        name="ANNOTATOR_CACHE_MB",
        kind=Kind.INTEGER,
        default="2048",
        minimum=64,
        maximum=1048576,
        help="Largest size of the cache of images that are kept elsewhere, in MiB.",
    ),
    Setting(
        name="ANNOTATOR_IMPORT_ROOTS",
        kind=Kind.LIST,
        help="Folders of this server, as absolute paths separated by commas, from which managers of projects may import. Files are read in place. Empty: none.",
    ),
    Setting(
        name="ANNOTATOR_API_REQUESTS_PER_MINUTE",
        kind=Kind.INTEGER,
        default="1200",
        minimum=0,
        maximum=1000000,
        help="API requests that a token, or a person in a browser, may make in a minute; labelling itself is not counted. 0: any number.",
    ),
    Setting(
        name="ANNOTATOR_WEIGHTS",
        kind=Kind.TEXT,
        help="Folder with model weights as files, looked at before any download. Empty: none.",
    ),
    Setting(
        name="ANNOTATOR_DEMO",
        kind=Kind.BOOLEAN,
        default="on",
        help="Make the demo projects when the application starts on an empty data folder.",
    ),
    Setting(name="ANNOTATOR_TIME_ZONE", kind=Kind.TEXT, default="UTC", help="Time zone of dates on pages."),
    Setting(
        name="ANNOTATOR_LOG_LEVEL",
        kind=Kind.TEXT,
        default="INFO",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
        help="Least severe message that is logged.",
    ),
    Setting(
        name="ANNOTATOR_LOG_FORMAT",
        kind=Kind.TEXT,
        default="plain",
        choices=("plain", "json"),
        help="Lines of text, or one JSON object a line with request id, user and project numbers.",
    ),
    Setting(
        name="ANNOTATOR_SLOW_MS",
        kind=Kind.INTEGER,
        default="2000",
        minimum=1,
        maximum=600000,
        help="Requests that take longer, in milliseconds, are logged.",
    ),
    Setting(
        name="ANNOTATOR_METRICS_TOKEN",
        kind=Kind.SECRET,
        help="Token with which `/metrics` and the details of `/readyz` are read from other machines, as `Authorization: Bearer`. Empty: from this machine only.",
    ),
    Setting(
        name="ANNOTATOR_PROXIES",
        kind=Kind.INTEGER,
        default="0",
        minimum=0,
        maximum=10,
        help="Proxies in front that add to X-Forwarded-For. 0: the header is not believed, and failed sign-ins are not counted per address behind one.",
    ),
    Setting(
        name="ANNOTATOR_UPGRADE_BACKUP",
        kind=Kind.BOOLEAN,
        default="on",
        help="Dump the database into `backups/` of the data folder before a newer release changes it. The last three are kept.",
    ),
    Setting(
        name="ANNOTATOR_PROCESS",
        kind=Kind.TEXT,
        default="command",
        choices=("web", "sockets", "worker", "command"),
        help="What this process is. Set by the processes themselves: it chooses how database connections are kept.",
    ),
)
BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in DECLARED}
TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})


def text(name: str) -> str:
    """Value of a text or secret; a secret may stand in the file that NAME_FILE names."""
    value = _raw(name, Kind.TEXT, Kind.SECRET)
    choices = BY_NAME[name].choices
    if choices and value not in choices:
        raise SettingError(f"{name}={value!r} is not one of {', '.join(choices)}: choose one or unset it.")
    return value


def integer(name: str) -> int:
    """Value of a whole number within its declared limits."""
    value = _raw(name, Kind.INTEGER)
    try:
        number_ = int(value)
    except ValueError:
        raise SettingError(f"{name}={value!r} is not a whole number: {_advice(name)}.") from None
    _check_limits(name, number_)
    return number_


def number(name: str) -> float:
    """Value of a number within its declared limits."""
    value = _raw(name, Kind.NUMBER)
    try:
        number_ = float(value)
    except ValueError:
        raise SettingError(f"{name}={value!r} is not a number: {_advice(name)}.") from None
    _check_limits(name, number_)
    return number_


def boolean(name: str) -> bool:
    """Value of a switch."""
    value = _raw(name, Kind.BOOLEAN).lower()
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise SettingError(f"{name}={value!r} is neither on nor off: write 1 or 0, on or off, true or false.")


def items(name: str) -> list[str]:
    """Values of a comma-separated list, without empty ones."""
    return [part.strip() for part in _raw(name, Kind.LIST).split(",") if part.strip()]


def path(name: str) -> Path:
    """Absolute path; a relative one starts at the checkout, so that every folder to start from finds the same data."""
    return Path(os.path.normpath(ROOT / Path(_raw(name, Kind.PATH)).expanduser()))


READERS = {
    Kind.TEXT: text,
    Kind.SECRET: text,
    Kind.INTEGER: integer,
    Kind.NUMBER: number,
    Kind.BOOLEAN: boolean,
    Kind.LIST: items,
    Kind.PATH: path,
}


def problems() -> list[str]:
    """What is wrong with the environment, one sentence a variable; empty when all can be read."""
    found = []
    for setting in DECLARED:
        try:
            READERS[setting.kind](setting.name)
        except SettingError as error:
            found.append(str(error))
    for read in (fetch_allow, fetch_ports, storages):
        try:
            read()
        except SettingError as error:
            found.append(str(error))
    for name, parse in (("DATABASE_URL", database_config), ("REDIS_URL", redis_urls)):
        try:
            if url := text(name):
                parse(url)
        except SettingError as error:
            if str(error) not in found:
                found.append(str(error))
    return found


def unknown_variables() -> list[str]:
    """Variables that start with ANNOTATOR_ but mean nothing: most often a slip of the pen."""
    known = {*BY_NAME, *(f"{s.name}_FILE" for s in DECLARED if s.kind is Kind.SECRET), *READ_ELSEWHERE}
    return sorted(name for name in os.environ if name.startswith("ANNOTATOR_") and name not in known)


def fetch_allow() -> tuple[env_values.Network, ...]:
    """Networks that requests for people may reach though they are not public."""
    return env_values.networks("ANNOTATOR_FETCH_ALLOW", items("ANNOTATOR_FETCH_ALLOW"))


def fetch_ports() -> tuple[tuple[int, int], ...]:
    """Ranges of ports that may be asked for people, both ends included."""
    return env_values.port_ranges("ANNOTATOR_FETCH_PORTS", items("ANNOTATOR_FETCH_PORTS"))


def storages() -> dict[str, dict[str, str]]:
    """The S3-style storages by name, each with all of its fields."""
    return env_values.storages("ANNOTATOR_STORAGES", text("ANNOTATOR_STORAGES"))


def secret_key(home: Path) -> str:
    """SECRET_KEY of the environment, else the one kept under `home`, made on the first call."""
    given = text("SECRET_KEY")
    if given:
        if len(given) < 32:
            raise SettingError(
                f"SECRET_KEY has {len(given)} characters, 32 are the least: unset it to have one made."
            )
        return given
    kept = home / "secret_key"
    if not kept.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = home / f".secret_key.{os.getpid()}"
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48), encoding="ascii")
        # A link never replaces a file: of two processes that start at once, both end with the same key.
        with suppress(FileExistsError):
            kept.hardlink_to(fresh)
        fresh.unlink()
    return kept.read_text(encoding="ascii")


def database_url() -> str:
    """DATABASE_URL of the environment, else the own server of the data folder."""
    return text("DATABASE_URL") or embedded_urls(path("ANNOTATOR_HOME"))["database"]


def redis_url() -> str:
    """REDIS_URL of the environment, else the own server of the data folder."""
    return text("REDIS_URL") or embedded_urls(path("ANNOTATOR_HOME"))["redis"]


def socket_folder(home: Path) -> Path:
    """Where the own servers' sockets lie: under `home`, or under the temporary folder when that path is too long for the kernel."""
    near = home / "run"
    if len(os.fsencode(near / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH:
        return near
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"annotator-{os.geteuid()}-{digest}"


def embedded_urls(home: Path) -> EmbeddedUrls:
    """Addresses of the own servers: a function of the folder alone, so that commands elsewhere find them."""
    folder = socket_folder(home)
    return {
        "database": f"postgresql://postgres@/{DATABASE_NAME}?{urlencode({'host': str(folder)})}",
        "redis": f"unix://{quote(str(folder / 'redis.sock'))}?db=0",
    }


def reference() -> str:
    """The settings page of the documentation, as Markdown."""
    lines = [
        "# Settings",
        "",
        "Every setting is a variable of the environment. A wrong value stops the start and says what to do; an unknown",
        "variable that begins with `ANNOTATOR_` is warned about. Secrets can stand in a file: `SECRET_KEY_FILE=/path`",
        "is read in place of `SECRET_KEY`. Generated by `python -m annotator.env`.",
        "",
        "| variable | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for setting in DECLARED:
        limits = " \\| ".join(setting.choices) or _limits(setting)
        kind = f"{setting.kind}{f' ({limits})' if limits else ''}"
        default = f"`{setting.default}`" if setting.default else ""
        lines.append(f"| `{setting.name}` | {kind} | {default} | {setting.help} |")
    return "\n".join([*lines, ""])


def _raw(name: str, *kinds: Kind) -> str:
    setting = BY_NAME[name]
    if setting.kind not in kinds:
        raise TypeError(f"{name} is declared as {setting.kind}, read it as such")
    value = os.environ.get(name, "").strip()
    file = os.environ.get(f"{name}_FILE", "").strip() if setting.kind is Kind.SECRET else ""
    if value and file:
        raise SettingError(f"{name} and {name}_FILE are both set: keep one.")
    if file:
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"{name}_FILE={file!r} cannot be read ({error}): correct the path.") from error
    return value or setting.default


def _limits(setting: Setting) -> str:
    if setting.minimum is None or setting.maximum is None:
        return ""
    return f"{setting.minimum:g} to {setting.maximum:.0f}"


def _advice(name: str) -> str:
    return f"write something like {BY_NAME[name].default} or unset it"


def _check_limits(name: str, value: float) -> None:
    setting = BY_NAME[name]
    low = setting.minimum is not None and value < setting.minimum
    high = setting.maximum is not None and value > setting.maximum
    if low or high:
        raise SettingError(f"{name}={value:g} is out of range ({_limits(setting)}): {_advice(name)}.")


if __name__ == "__main__":
    sys.stdout.write(reference())
