"""What can go wrong in a round, in words for people."""

from __future__ import annotations

from annotator.common.errors import AnnotatorError


class RankingFailed(AnnotatorError):
    """The strategy crashed or had nothing to say; the previous ranking stays."""

    code, status = "ranking_failed", 500


class RoundSuperseded(AnnotatorError):
    """The round ended while its job still ran (it was given up, or another process finished it)."""

    code, status = "round_superseded", 409
