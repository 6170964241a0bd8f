"""Select: a scenario as an environment of Gymnasium."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from learning.methods.base import find_method
from learning.requests.decide import Observation
from scenarios import Scenario
from sim.errors import InputError, as_input
from sim.execution.identity import NamedBuild
from sim.execution.ready import build, learning_in
from sim.execution.result import Result
from sim.execution.run_cache import WindowCache
from sim.execution.schedule import scenario_of
from sim.facts.observer import Observer
from sim.gym.encoding import decoded, encoded, size
from sim.gym.episode import Episode
from sim.gym.rewards import gained, standing, weights_of
from statements import Code

KEPT_BUILDS = 16
"""Of how many seeds the plan and the links are kept."""


class Select(Observer, gymnasium.Env[NDArray[np.float32], NDArray[np.int8]]):
    """A scenario whose agent decides who takes part in a round, and when that ends.

    ``scenario`` is a :class:`scenarios.Scenario`, or a mapping, name or path of one, then with
    ``overrides`` of its keys. Its method asks for decisions (``learning.method: select``). An
    episode is a run, which ends where the scenario stops. An action has a bit for each of the C
    clients and one more (C + 1,): see :class:`learning.requests.Decision`. What is observed is in
    :data:`FEATURES` and :data:`OVERALL`. A ``reward`` gives weights to what has been gained since
    the decision before: ``accuracy``, ``merged``, ``hours``, ``kilojoules``.

    ``reset(seed=n)`` plays the scenario with the seed n. Without a seed the next one of ``seeds``
    is played or, if there are none, the last one again. After the seed n, that is the one at place
    n modulo their number, so that the environments of a vector play different ones. Contact
    windows are found once; contact plan and links of a seed are made once.

    ``clients`` are the names of the C clients, ``observation`` is the last one in SI units, and
    ``result`` that of the last episode which has come to its end.

    Raises InputError (or the ValueError of a room) for wrong input. An environment holds a run, and
    is not copied; a run goes on in the thread that has reset it.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (as Gymnasium declares it)

    def __init__(
        self,
        scenario: Scenario | Mapping[str, Any] | str | Path,
        overrides: Mapping[str, Any] | None = None,
        *,
        seeds: Sequence[int] = (),
        reward: Mapping[str, float] | None = None,
    ) -> None:
        loaded = _loaded(scenario, overrides)
        self._weights = weights_of(reward, trains=learning_in(loaded).train)
        self._scenario = _measuring(loaded) if self._weights.accuracy else loaded
        self._windows = WindowCache(None)
        self._builds: OrderedDict[int, NamedBuild] = OrderedDict()
        self._seeds = _whole_numbers(seeds)
        self._turn = 0
        self._seed = self._scenario.seed
        self._episode: Episode | None = None
        self.result: Result | None = None
        self.clients = tuple(cluster.name for cluster in self._built().build.plan.clusters)
        self.action_space = spaces.MultiBinary(len(self.clients) + 1)
        self.observation_space = spaces.Box(0.0, 1.0, (size(len(self.clients)),), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin a run, and return what is observed at its first decision; it has no ``options``."""
        if options:
            raise InputError.of(
                Code.WRONG_VALUE,
                "options",
                f"reset() has none, but got {next(iter(options))!r}; keys of "
                "the scenario are overrides of gymnasium.make",
            )
        super().reset(seed=seed, options=options)
        self.close()
        self._seed = self._next_seed(seed)
        self._accuracy = math.nan
        self._episode = episode = Episode(self._built(), [self])
        seen = episode.go_on()
        if seen is None:
            name = learning_in(self._scenario).method
            raise InputError.of(
                Code.WRONG_VALUE,
                "learning.method",
                f"the run is over, and {name!r} has asked nothing",
            )
        self._see(episode, seen)
        return encoded(seen), self._info()

    def step(
        self, action: NDArray[np.int8]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Decide, and run to the next decision or to the end of the run."""
        episode = self._episode
        if episode is None or episode.is_over:
            raise gymnasium.error.ResetNeeded("the run has ended, or not begun; call reset() first")
        if not episode.is_of_this_thread:
            raise gymnasium.error.ResetNeeded(
                "the run was begun in another thread; call reset() first"
            )
        decision = decoded(action)
        if decision.clients.size != len(self.clients):
            raise InputError.of(
                Code.WRONG_VALUE,
                "action",
                f"has shape {np.shape(action)}; it must have {{shape}}: a bit "
                "for each client and one to aggregate",
                shape=self.action_space.shape,
            )
        before = self._standing
        seen = episode.go_on(decision)
        if seen is None:
            self.result = episode.result
        self._see(episode, self._last(episode) if seen is None else seen)
        reward = gained(self._weights, before, self._standing)
        return encoded(self.observation), reward, seen is None, False, self._info()

    def close(self) -> None:
        """Break off the run that goes on, if there is one."""
        if self._episode is not None:
            self._episode.abandon()
            self._episode = None

    def evaluated(self, time_s: float, cycle: int, accuracy: float) -> None:
        """Note the accuracy of the run's last evaluation."""
        self._accuracy = accuracy

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to be copied or pickled: the state of a run is not all in its objects."""
        raise TypeError("an environment is not copied; make another one by gymnasium.make")

    def _next_seed(self, given: int | None) -> int:
        """Return the seed of the next episode."""
        if given is not None:
            self._turn = given
            return given
        if not self._seeds:
            return self._seed
        seed = self._seeds[self._turn % len(self._seeds)]
        self._turn += 1
        return seed

    def _built(self) -> NamedBuild:
        """Return the build of the present seed: with its plan and its links, of all its runs."""
        found = self._builds.get(self._seed)
        if found is None:
            scenario = self._scenario.model_copy(update={"seed": self._seed})
            found = NamedBuild(build(scenario, self._windows.find), "gym")
            self._builds[self._seed] = found
        self._builds.move_to_end(self._seed)
        while len(self._builds) > KEPT_BUILDS:
            self._builds.popitem(last=False)
        return found

    def _see(self, episode: Episode, seen: Observation) -> None:
        self.observation = seen
        self._standing = standing(episode.simulation, self._weights, seen.accuracy, seen.merged)

    def _last(self, episode: Episode) -> Observation:
        """Return the last observation, with what the run has come to by its end."""
        simulation = episode.simulation
        method = simulation.method
        return replace(
            self.observation,
            time_s=simulation.end_s,
            version=method.version,
            merged=method.merged,
            accuracy=self._accuracy,
        )

    def _info(self) -> dict[str, Any]:
        seen = self.observation
        info = {
            "seed": self._seed,
            "hours": seen.time_s / 3600.0,
            "version": seen.version,
            "merged": seen.merged,
        }
        return info if math.isnan(seen.accuracy) else {**info, "accuracy": seen.accuracy}


def _loaded(
    source: Scenario | Mapping[str, Any] | str | Path, overrides: Mapping[str, Any] | None
) -> Scenario:
    """Return a scenario whose method asks for decisions; raise InputError for another one."""
    loaded = scenario_of(source, overrides)
    with as_input("learning.method"):
        method = find_method(learning_in(loaded).method)
    if not method.traits.decides:
        raise InputError.of(
            Code.WRONG_VALUE,
            "learning.method",
            f"{learning_in(loaded).method!r} asks for no decisions; set it to 'select'",
        )
    return loaded


def _whole_numbers(seeds: Iterable[int]) -> tuple[int, ...]:
    """Return seeds as a scenario takes them; raise InputError for others."""
    if not isinstance(seeds, Iterable) or isinstance(seeds, str):
        raise InputError.of(
            Code.WRONG_VALUE,
            "seeds",
            "{seeds!r} is no list of whole numbers from 0",
            seeds=seeds,
        )
    found = tuple(seeds)
    for seed in found:
        if not isinstance(seed, Integral) or seed < 0:
            raise InputError.of(
                Code.WRONG_VALUE, "seeds", "{seed!r} is no whole number from 0", seed=seed
            )
    return tuple(map(int, found))


def _measuring(loaded: Scenario) -> Scenario:
    """Return a scenario whose agent is told the accuracy, which is not part of its traces."""
    learning = learning_in(loaded)
    options = {**learning.options, "measures": True}
    return loaded.model_copy(update={"learning": replace(learning, options=options)})
