"""What can be wrong with a pool, a strategy or its parameters."""

from collections.abc import Iterable


class AcquisitionError(Exception):
    """Base of every error raised here; `code` is stable and fit for an API: small letters and underscores."""

    code = "acquisition"


class PoolError(AcquisitionError, ValueError):
    """A pool or a labelled set has a wrong shape, type or value."""

    code = "invalid_pool"


class UtilityError(AcquisitionError, ValueError):
    """Utilities are infinite, of the wrong length, or outside what a method can take."""

    code = "invalid_utility"


class ParameterError(AcquisitionError, ValueError):
    """A parameter is unknown or has a value that its schema refuses; `name` says which."""

    code = "invalid_parameter"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"Parameter '{name}': {problem}")
        self.name = name
        self.problem = problem


class UnknownStrategyError(AcquisitionError, LookupError):
    code = "unknown_strategy"

    def __init__(self, key: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no strategy '{key}'. Known: {', '.join(sorted(known))}.")
        self.key = key


class MissingSignalError(AcquisitionError):
    """The pool lacks a signal that the strategy needs."""

    code = "missing_signal"

    def __init__(self, key: str, missing: Iterable[str]) -> None:
        self.key = key
        self.missing = tuple(sorted(missing))
        super().__init__(f"Strategy '{key}' needs {', '.join(self.missing)}, which the pool does not have.")


class UnsupportedTaskError(AcquisitionError):
    code = "unsupported_task"

    def __init__(self, key: str, task: str, tasks: Iterable[str]) -> None:
        super().__init__(f"Strategy '{key}' is for tasks {', '.join(sorted(tasks))}, not for '{task}'.")
        self.key = key
        self.task = task


class StrategyError(AcquisitionError):
    """A strategy breaks its contract: a faulty specification, or a ranking of the wrong kind."""

    code = "broken_strategy"


class StrategyFailed(StrategyError):
    """Foreign code raised, died, or used more than it may; what it said is in the message."""

    code = "strategy_failed"


class StrategyTimeout(StrategyFailed):
    """Foreign code took too long and was ended."""

    code = "strategy_timeout"


class StrategyStopped(AcquisitionError):
    """A person asked to stop while foreign code ran; it was ended."""

    code = "strategy_stopped"
