"""Which strategies exist: built-ins by crawling `acquisition.strategies`, other libraries' by `acquisition.adapters`,
third parties' by the entry point group, once their import came back in a process of its own."""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import logging
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from acquisition import adapters, children, strategies
from acquisition import params as parameters
from acquisition.errors import (
    MissingSignalError,
    PoolError,
    StrategyError,
    UnknownStrategyError,
    UnsupportedTaskError,
)
from acquisition.pool import SIGNALS, Labeled, Pool, check_pair
from acquisition.ranking import Ranking

ENTRY_POINT_GROUP = "annotator.strategies"
TASKS = ("single", "multi")

logger = logging.getLogger(__name__)

SelectFunction = Callable[..., Ranking]


@dataclass(frozen=True, kw_only=True)
class StrategySpec:
    """What a strategy says about itself; forms, API, documentation and compatibility are drawn from it.

    needs: signals of the pool without which it cannot work. tasks: 'single', 'multi'. batch_aware: the batch is
    chosen jointly, so that the order is the choice; otherwise it is the order of the utilities, and may be drawn
    from at random. params: JSON-schema properties, each with a default; one with `x-signal` says how that signal is to
    be made: it is for whoever makes the pool, and not handed to the function. version: raised when the order changes.
    """

    key: str
    title: str
    advice: str
    needs: frozenset[str] = frozenset()
    tasks: frozenset[str] = frozenset(TASKS)
    batch_aware: bool = False
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reference: str = ""
    version: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"([a-z][a-z0-9_]*:)?[a-z][a-z0-9_]*", self.key):
            raise StrategyError(
                f"Key '{self.key}' must be lower-case letters, digits and underscores, after 'library:' if at all."
            )
        if not self.title or not self.advice.lower().startswith("use it "):
            raise StrategyError(f"Strategy '{self.key}' needs a title, and advice that begins with 'Use it'.")
        unknown = (self.needs - set(SIGNALS)) | (self.tasks - set(TASKS))
        if unknown or not self.tasks:
            raise StrategyError(
                f"Strategy '{self.key}' has unknown needs or tasks: {sorted(unknown) or 'no task'}."
            )
        parameters.check_properties(self.params)
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))


@dataclass(frozen=True)
class Strategy:
    """A specification with its function; stateless. source: the distribution it comes from, '' for one of our own."""

    spec: StrategySpec
    function: SelectFunction
    source: str = ""

    def select(
        self, pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, **params: Any
    ) -> Ranking:
        """The min(n, N) ids to label first. Needs, task and parameters are checked here, once for all strategies.

        Raises MissingSignalError, UnsupportedTaskError, ParameterError, PoolError; StrategyError if the function
        returns something else than such a ranking.
        """
        values = parameters.validate(self.spec.params, params)
        self.check_fits(pool)
        check_pair(pool, labeled)
        if n < 0:
            raise PoolError(f"n is {n}; a number of items to choose cannot be negative.")
        if len(pool) == 0:
            return Ranking(pool.ids, np.empty(0), pool.ids)
        ranking = self.function(pool, labeled, n, rng, **parameters.for_strategy(self.spec.params, values))
        if not isinstance(ranking, Ranking):
            raise StrategyError(
                f"Strategy '{self.spec.key}' returned {type(ranking).__name__}, not a Ranking."
            )
        if len(ranking.order) != min(n, len(pool)) or len(ranking.utility) != len(pool):
            raise StrategyError(
                f"Strategy '{self.spec.key}' returned {len(ranking.order)} ids; {n} were asked for."
            )
        return ranking

    def check_fits(self, pool: Pool) -> None:
        """UnsupportedTaskError or MissingSignalError where the strategy cannot work on this pool."""
        if pool.task not in self.spec.tasks:
            raise UnsupportedTaskError(self.spec.key, pool.task, self.spec.tasks)
        if self.spec.needs - pool.signals:
            raise MissingSignalError(self.spec.key, self.spec.needs - pool.signals)


@dataclass(frozen=True)
class PluginFailure:
    """A third-party strategy that could not be loaded, and why."""

    name: str
    source: str
    error: str


def strategy(spec: StrategySpec) -> Callable[[SelectFunction], Strategy]:
    """Makes a Strategy of a function `(pool, labeled, n, rng, **params) -> Ranking`."""
    return lambda function: Strategy(spec, function)


def get(key: str) -> Strategy:
    """The strategy of that key; UnknownStrategyError lists the keys that exist."""
    found, _ = _loaded()
    if key not in found:
        raise UnknownStrategyError(key, found)
    return found[key]


def available(*, task: str | None = None, signals: Iterable[str] | None = None) -> tuple[Strategy, ...]:
    """Strategies that are for this task and need nothing but these signals; None = any. Our own first, then by title."""
    given = None if signals is None else frozenset(signals)
    return tuple(
        candidate
        for candidate in sorted(_loaded()[0].values(), key=_place)
        if (task is None or task in candidate.spec.tasks) and (given is None or candidate.spec.needs <= given)
    )


def _place(strategy: Strategy) -> tuple[str, str, str]:
    return strategy.source.casefold(), strategy.spec.title.casefold(), strategy.spec.key


def plugin_failures() -> tuple[PluginFailure, ...]:
    """Third-party strategies that failed to load: to be shown, never fatal."""
    return _loaded()[1]


def reload() -> None:
    """Forgets what was found, so that the next question looks again."""
    _loaded.cache_clear()


def built_in() -> dict[str, Strategy]:
    """The strategies of this package by key, without third parties."""
    found: dict[str, Strategy] = {}
    for module in pkgutil.iter_modules(strategies.__path__):
        if module.name.startswith("_"):
            continue
        for value in vars(importlib.import_module(f"{strategies.__name__}.{module.name}")).values():
            if isinstance(value, Strategy):
                if value.spec.key in found:
                    raise StrategyError(f"Two built-in strategies have the key '{value.spec.key}'.")
                found[value.spec.key] = value
    return found


def adapted(*, installed_only: bool = True) -> dict[str, Strategy]:
    """Other libraries' strategies by key, `library:name`; those of libraries that are not here on request only.

    A module of `acquisition.adapters` names its LIBRARY and lists its STRATEGIES without importing the library.
    """
    found: dict[str, Strategy] = {}
    for name in pkgutil.iter_modules(adapters.__path__):
        if name.name.startswith("_"):
            continue
        module = importlib.import_module(f"{adapters.__name__}.{name.name}")
        if not installed_only or importlib.util.find_spec(module.LIBRARY) is not None:
            found |= {one.spec.key: replace(one, source=module.DISTRIBUTION) for one in module.STRATEGIES}
    return found


def only(key: str, source: str) -> Strategy:
    """The strategy of that key without a look into distributions other than `source`; UnknownStrategyError.

    For processes that run one strategy: what hangs or crashes elsewhere is nothing to them.
    """
    found = built_in() | adapted()
    if key in found:
        return found[key]
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        if _source(entry) != source:
            continue
        with contextlib.suppress(Exception, SystemExit):
            plugin = _load(entry)
            if plugin.spec.key == key:
                return plugin
    raise UnknownStrategyError(key, found)


@cache
def _loaded() -> tuple[dict[str, Strategy], tuple[PluginFailure, ...]]:
    found = built_in() | adapted()
    failures = []
    entries = list(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
    never = children.never_back(_module(entry) for entry in entries)
    for entry in entries:
        source = _source(entry)
        if _module(entry) in never:
            logger.error("Strategy plug-in %s of %s: %s", entry.name, source, never[_module(entry)])
            failures.append(PluginFailure(entry.name, source, never[_module(entry)]))
            continue
        try:
            plugin = _load(entry)
            if plugin.spec.key in found:
                raise StrategyError(f"The key '{plugin.spec.key}' is taken.")
        # A module that ends the program when it is imported ends nothing here.
        except (Exception, SystemExit) as error:
            logger.exception("Strategy plug-in %s of %s failed to load", entry.name, source)
            failures.append(PluginFailure(entry.name, source, f"{type(error).__name__}: {error}"))
        else:
            found[plugin.spec.key] = plugin
    return found, tuple(failures)


def _source(entry: importlib.metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _module(entry: importlib.metadata.EntryPoint) -> str:
    return entry.value.partition(":")[0].strip()


def _load(entry: importlib.metadata.EntryPoint) -> Strategy:
    plugin = entry.load()
    if not isinstance(plugin, Strategy):
        raise StrategyError(f"{entry.value} is no Strategy; decorate the function with @strategy(spec).")
    return replace(plugin, source=_source(entry))
