"""What can be wrong with a simulation, in words for whoever started it."""

from __future__ import annotations

from annotator.common.errors import AnnotatorError


class SimulationError(AnnotatorError):
    """The simulation cannot begin or go on; the message and hint say what to do."""

    code, status = "simulation", 400


class Stopped(SimulationError):
    """Somebody asked to stop."""

    code, status = "stopped", 409
