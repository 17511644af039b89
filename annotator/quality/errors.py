"""What can be wrong with votes."""

from __future__ import annotations

from annotator.common.errors import AnnotatorError


class VotesError(AnnotatorError):
    """Arrays of votes that do not fit together."""

    code, status = "bad_votes", 500
