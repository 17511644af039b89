from pathlib import Path

import pytest

from acquisition import docs, registry

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "strategies.md"


def test_the_page_is_what_the_registry_says():
    assert PAGE.read_text(encoding="utf-8") == docs.page(), (
        "Run python -m acquisition.docs docs/reference/strategies.md"
    )


@pytest.mark.parametrize("key", sorted(registry.built_in()))
def test_every_strategy_has_its_section_with_all_parameters(key):
    section = docs.page().partition(f"\n## {key}\n")[2].partition("\n## ")[0]
    spec = registry.get(key).spec
    assert spec.advice in section
    assert all(f"`{name}`" in section for name in spec.params)


def test_the_command_writes_the_page(tmp_path, capsys):
    docs.main([str(tmp_path / "page.md")])
    docs.main([])
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == capsys.readouterr().out
