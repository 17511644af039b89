"""What can be said of the container files without an engine: structure, names that fit each other, no secrets."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from annotator import env
from annotator.supervisor import alone, services

DOCKER = env.ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "--only" in (service.get("command") or [])}


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each instruction of the Dockerfile, continued lines joined."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


def of(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def test_the_image_is_built_in_stages_on_a_slim_python() -> None:
    assert of("FROM") == ["python:3.11-slim-bookworm AS base", "base AS build", "base AS application"]
    assert not [rest for rest in of("FROM") if rest.endswith(":latest")]


def test_the_image_runs_as_nobody_in_particular() -> None:
    words = [word for word, _ in instructions()]
    assert of("USER") == ["annotator"]
    last = len(words) - 1 - words[::-1].index("USER")
    assert not {"RUN", "COPY", "ADD"} & set(words[last:])
    assert any("useradd --uid 10001" in rest for rest in of("RUN"))


def test_packages_are_locked_with_hashes_and_no_registry_is_named() -> None:
    text = "\n".join(of("RUN"))
    assert "--require-hashes -r requirements.lock" in text
    assert "npm ci --ignore-scripts" in text
    everything = "".join(path.read_text(encoding="utf-8") for path in DOCKER.iterdir() if path.is_file())
    assert not re.findall(r"https?://(?!\$)[\w.-]+", everything.replace("https://label.example.org", ""))
    # Versions of torch stand in the Makefile, in the very words that the image reads.
    makefile = (env.ROOT / "Makefile").read_text(encoding="utf-8")
    for name in re.findall(r"s/\^(\w+) := //p", text):
        assert re.search(rf"^{name} := \w+==[\d.]+$", makefile, re.MULTILINE), name


def test_what_the_image_copies_exists_and_is_sent_to_the_builder() -> None:
    sent = {
        line[1:] for line in (env.ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    for rest in of("COPY"):
        if rest.startswith("--from"):
            continue
        *sources, _target = rest.split()
        for source in sources:
            assert (env.ROOT / source).exists(), source
            assert source in sent, source


def test_the_image_says_whether_it_is_well_and_what_it_starts() -> None:
    [check] = of("HEALTHCHECK")
    assert "annotator.supervisor.probe" in check
    assert of("ENTRYPOINT") == ['["python", "-m", "annotator.supervisor"]']
    assert of("CMD") == ['["--only", "web"]']


def test_settings_that_the_files_name_exist() -> None:
    known = {*env.BY_NAME, *(f"{name}_FILE" for name in env.BY_NAME)}
    for name, service in OURS.items():
        given = set(service["environment"]) - {"HOME"}
        assert given <= known, name
    set_in_image = {word.split("=")[0] for rest in of("ENV") for word in re.findall(r"\b\w+=", rest)}
    assert {name for name in set_in_image if name.startswith("ANNOTATOR_")} <= set(env.BY_NAME)


def test_every_process_has_a_service_that_starts_it_alone() -> None:
    started = {service["command"][1] for service in OURS.values()}
    assert started == set(alone.NAMES) == {"prepare", *services.ALONE}
    assert SERVICES["worker-cuda"]["command"] == SERVICES["worker-gpu"]["command"]


def test_services_restart_are_watched_and_hold_no_rights() -> None:
    for name, service in SERVICES.items():
        assert service["restart"] == ("no" if name == "prepare" else "unless-stopped"), name
        if name in OURS:
            assert service["cap_drop"] == ["ALL"], name
            assert service["read_only"] is True, name
            assert service["init"] is True, name
        assert "healthcheck" in service or name == "proxy", name
        assert "privileged" not in service, name
    for name, service in OURS.items():
        check = service["healthcheck"]
        if not check.get("disable"):
            assert check["test"][-2:] == ["annotator.supervisor.probe", service["command"][1]], name


def test_nothing_but_the_proxy_is_reached_from_outside() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"proxy"}
    for store in ("postgres", "redis"):
        assert SERVICES[store]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_all_wait_for_what_they_need() -> None:
    for name, service in OURS.items():
        needs = service["depends_on"]
        assert needs["postgres"] == needs["redis"] == {"condition": "service_healthy"}, name
        if name != "prepare":
            assert needs["prepare"] == {"condition": "service_completed_successfully"}, name


def test_volumes_and_secrets_that_are_used_are_declared() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), name
        for volume in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
            assert source.startswith(".") or source in COMPOSE["volumes"], (name, volume)


def test_the_card_is_reserved_for_the_cuda_worker_only() -> None:
    reserved = {name for name, service in SERVICES.items() if "deploy" in service}
    assert reserved == {"worker-cuda"}
    assert SERVICES["worker-cuda"]["profiles"] == ["cuda"]
    assert SERVICES["worker-gpu"]["profiles"] == ["cpu"]
    assert SERVICES["worker-cuda"]["build"]["args"]["TORCH_BUILD"] == "cuda"


def test_no_password_stands_in_any_file() -> None:
    for path in DOCKER.iterdir():
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?i)password[\"']?\s*[:=]\s*[\"']?[a-z0-9]{4,}$", text, re.MULTILINE), (
                path.name
            )
    for service in SERVICES.values():
        for variable, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|URL_FILE", variable):
                assert value.startswith("/run/secrets/"), variable


def test_the_variables_of_the_compose_file_are_explained() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (DOCKER / "compose.yaml").read_text(encoding="utf-8")))
    explained = set(
        re.findall(r"^(\w+)=", (DOCKER / "env.example").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert used - explained == {"ANNOTATOR_IMAGE", "ANNOTATOR_CUDA_IMAGE"}
    assert explained - used == {"COMPOSE_PROFILES"}


def test_the_proxy_passes_sockets_and_bodies_as_large_as_uploads_may_be() -> None:
    text = (DOCKER / "Caddyfile").read_text(encoding="utf-8")
    assert re.search(r"handle /ws/\* \{\s*reverse_proxy sockets:8001", text)
    assert re.search(r"handle \{\s*reverse_proxy web:8000", text)
    assert "flush_interval -1" in text
    assert text.count("{") == text.count("}")
    body = int(re.search(r"MAX_BODY:-(\d+)MiB", str(SERVICES["proxy"]["environment"])).group(1))  # type: ignore[union-attr]
    upload = int(re.search(r"MAX_UPLOAD_MB:-(\d+)", str(SERVICES["web"]["environment"])).group(1))  # type: ignore[union-attr]
    assert upload == int(env.BY_NAME["ANNOTATOR_MAX_UPLOAD_MB"].default)
    assert upload < body < 1.1 * upload


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    subprocess.run(["sh", str(DOCKER / "secrets.sh"), str(folder)], check=True, capture_output=True)
    return folder


def test_secrets_are_made_once_and_fit_what_compose_mounts(secrets: Path) -> None:
    made = {path.name: path.read_text() for path in secrets.iterdir()}
    assert set(made) == {Path(each["file"]).name for each in COMPOSE["secrets"].values()}
    assert made["postgres_password"] in made["database_url"]
    assert made["redis_password"] in made["redis_url"]
    assert len(set(made.values())) == len(made)
    assert all(len(text) >= 64 for text in made.values())
    assert secrets.stat().st_mode & 0o777 == 0o700
    subprocess.run(["sh", str(DOCKER / "secrets.sh"), str(secrets)], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == made


def test_the_settings_read_the_secrets_as_they_are_made(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ANNOTATOR_METRICS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(f"{name}_FILE", str(secrets / name.removeprefix("ANNOTATOR_").lower()))
    assert env.problems() == []
    assert alone.unsafe(services.plan_from_environment()) == []
    assert env.database_config(env.database_url())["HOST"] == "postgres"
    assert os.environ.get("DATABASE_URL") is None
