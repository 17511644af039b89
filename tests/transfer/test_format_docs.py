from pathlib import Path

import pytest
from django.core.management import call_command

from annotator.transfer.formats import FORMATS, docs

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "formats.md"


def test_the_page_is_what_the_registry_says():
    assert PAGE.read_text(encoding="utf-8") == docs.page(), (
        "Run python manage.py formats_page docs/reference/formats.md"
    )


@pytest.mark.parametrize("key", sorted(FORMATS))
def test_every_format_has_its_row(key):
    assert f"`{key}`" in docs.page()


def test_the_command_writes_the_page(tmp_path, capsys):
    call_command("formats_page", tmp_path / "page.md")
    call_command("formats_page")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == capsys.readouterr().out == docs.page()
