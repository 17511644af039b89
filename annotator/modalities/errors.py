from __future__ import annotations


class ModalityError(ValueError):
    """A payload that cannot be an item of this modality; the text says why, in words for people."""
