"""The points of a sweep, as valid scenarios."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scenarios import Scenario
from sim.errors import InputError
from sim.execution.identity import OUTSIDE, digest_of
from sim.formatting import as_yaml
from sim.sweep.engine import Point
from sim.sweep.spec import Span, Spec, combinations, combinations_count

MOST_POINTS = 10_000
"""Points up to which nobody is asked whether that is meant."""


@dataclass(frozen=True)
class Plan:
    """What is swept: a scenario with overrides, values by key, and how they are combined."""

    scenario: str
    overrides: Mapping[str, Any]
    specs: Mapping[str, Spec]
    sampling: str = "grid"
    samples: int | None = None
    replications: int = 1

    def __post_init__(self) -> None:
        """Refuse keys that would undo each other."""
        if self.replications < 1:
            raise InputError(f"--replications {self.replications}: must be at least 1")
        if self.replications > 1 and "seed" in self.specs:
            raise InputError("-p seed: replications have seeds of their own; leave one of them out")
        for key in self.specs:
            _check_alone(key, self.specs, self.overrides)

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked for, for `sweep.json`."""
        return {
            "scenario": self.scenario,
            "set": dict(self.overrides),
            "sampling": self.sampling,
            "samples": self.samples,
            "replications": self.replications,
        }

    @cached_property
    def count(self) -> int:
        """How many points there will be, found without making them."""
        return combinations_count(self.specs, self.sampling, self.samples) * self.replications

    @cached_property
    def read(self) -> Callable[[Mapping[str, Any]], Scenario]:
        """The scenario, read once, for overrides of all points."""
        import scenarios

        return scenarios.reader(self.scenario)

    @cached_property
    def seed(self) -> int:
        """The seed of random samples and of the first replication: the scenario's."""
        # Any one value of each key makes a complete scenario.
        others = {
            key: (spec.start + spec.stop) / 2 if isinstance(spec, Span) else spec.at(0)
            for key, spec in self.specs.items()
            if key != "seed"
        }
        return self._load(others, None)[1].seed

    def points(self) -> Iterator[Point]:
        """Yield all points in order, replications last; raise InputError for a wrong one."""
        made = combinations(self.specs, self.sampling, self.samples, lambda: self.seed)
        number = 0
        for values in made:
            for replication in range(self.replications):
                seed = self.seed + replication if self.replications > 1 else None
                overrides, scenario = self._load(values, seed)
                digest = digest_of(scenario)
                yield Point(
                    number, digest, self.scenario, overrides, values, replication, scenario.seed
                )
                number += 1

    def _load(self, values: Mapping[str, Any], seed: int | None) -> tuple[dict[str, Any], Scenario]:
        """Return overrides and scenario of one point, checked but for its contacts."""
        from sim.engine.setup import method_of

        overrides = {**self.overrides, **{key: _written(v) for key, v in values.items()}}
        if seed is not None:
            overrides["seed"] = seed
        try:
            scenario = self.read(overrides)
            method_of(scenario)
        except ValueError as error:
            raise InputError(_of_the_sweep(str(error), values)) from None
        return overrides, scenario


def _check_alone(key: str, specs: Mapping[str, Spec], overrides: Mapping[str, Any]) -> None:
    """Refuse a key that changes nothing, or is overridden as a whole by another one."""
    if key in OUTSIDE:
        raise InputError(f"-p {key}: changes nothing in a run; sweep another key")
    if key in overrides:
        option = "--seed" if key == "seed" else f"--set {key}"
        raise InputError(f"-p {key}: is given by {option} as well; leave one of them out")
    inside = [other for other in (*specs, *overrides) if other.startswith(f"{key}.")]
    if inside:
        raise InputError(f"-p {key}: would undo {inside[0]}, which is given as well")


def _written(value: Any) -> Any:
    """Return a value as an override that says just that: text would be read as YAML once more."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value


_UNKNOWN = re.compile(r"(\S+)\.[^.\s]+: is not a known key; did you mean '([^'.]+)'\?")
"""Of a key within a section, for which a key beside it is suggested."""


def _of_the_sweep(text: str, values: Mapping[str, Any]) -> str:
    """Say `-p KEY` for a key that is swept; elsewhere add which point it is that is wrong."""
    plain = text.removeprefix("--set ")
    for key in values:
        if plain.startswith((f"{key}:", f"{key}.")):
            return f"-p {_with_whole_keys(plain)}"
    point = ", ".join(f"{key}={as_yaml(value)}" for key, value in values.items())
    return f"{text} (at {point})"


def _with_whole_keys(text: str) -> str:
    """Return the text with the section before a suggested key, as `-p` needs it."""
    from scenarios import Scenario

    found = _UNKNOWN.fullmatch(text)
    if found is None or found[2] in Scenario.model_fields:
        return text
    return text.replace(f"'{found[2]}'?", f"'{found[1]}.{found[2]}'?")
