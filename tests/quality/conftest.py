"""What all tests of quality need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from annotator.quality import serving


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Projects of other tests had other shares under the same numbers."""
    serving._known.clear()
    yield
    serving._known.clear()
