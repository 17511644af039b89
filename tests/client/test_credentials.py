from __future__ import annotations

from pathlib import Path

import pytest
from annotator_client import ClientError, credentials


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("ANNOTATOR_URL", raising=False)
    monkeypatch.delenv("ANNOTATOR_TOKEN", raising=False)
    return tmp_path


def test_what_is_kept_is_the_owners_alone() -> None:
    file = credentials.save("http://one.test", "ann_1")
    credentials.save("http://two.test", "ann_2")
    assert credentials.load() == ("http://two.test", "ann_2")
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials.save("http://one.test", "ann_1")
    monkeypatch.setenv("ANNOTATOR_TOKEN", "ann_env")
    assert credentials.load() == ("http://one.test", "ann_env")


def test_without_a_token_it_says_what_to_do() -> None:
    with pytest.raises(ClientError, match="annotator login"):
        credentials.load()


def test_a_damaged_file_is_said_to_be(home: Path) -> None:
    credentials.save("http://one.test", "ann_1").write_text("{")
    with pytest.raises(ClientError, match=r"damaged.*annotator login"):
        credentials.load()
