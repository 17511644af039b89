"""Which features a project uses now. No torch here: rounds and pages read the record, not the encoder."""

from __future__ import annotations

from annotator.learning.models import Encoding, LearningSettings


def current_encoding(chosen: LearningSettings) -> Encoding | None:
    """The newest complete encoding with the chosen encoder and parameters."""
    return (
        Encoding.objects.filter(
            project_id=chosen.project_id,
            encoder=chosen.encoder,
            params=chosen.encoder_params,
            ready=True,
        )
        .order_by("-pk")
        .first()
    )
