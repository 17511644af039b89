"""The reference page says what the registry says."""

from __future__ import annotations

from pathlib import Path

from models_zoo import docs, registry


def test_the_reference_page_is_up_to_date() -> None:
    stored = Path(__file__).parents[2] / "docs" / "reference" / "models.md"
    assert stored.read_text() == docs.page(), "run: python -m models_zoo.docs > docs/reference/models.md"


def test_every_parameter_of_every_model_is_on_the_page() -> None:
    page = docs.page()
    for spec in registry.available():
        assert spec.is_builtin() == (f"Key `{spec.key}`" in page)
        assert all(f"| `{name}` |" in page for name in spec.params if spec.is_builtin())
