"""The points of a sweep: combinations of values, each a valid scenario."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from scenarios import Scenario
from scenarios.errors import SET
from scenarios.loading import Read
from sim.analysis.labels import METHOD, VARIANT
from sim.errors import InputError
from sim.execution.identity import OUTSIDE, point_identity
from sim.execution.versions import versions
from sim.formatting import as_yaml
from sim.sweep.folder import SCHEMA
from sim.sweep.point import Point, labelled
from sim.sweep.varied import MOST_POINTS, Axes, Spec
from sim.world.world import World
from statements import Code, Place, Refused, Remedy, Statement, dotted, statement_of

Specs = Mapping[str, Spec]


def combinations(specs: Specs) -> Iterator[dict[str, Any]]:
    """Yield the values of each combination by key; the last key varies fastest.

    Each comes once, however often its values are given.
    """
    every = product(*map(_apart, specs.values()))
    return (dict(zip(specs, values, strict=True)) for values in every)


def _apart(spec: Spec) -> Sequence[Any]:
    """Return the values of a key without those that come again: 0.1, 1e-1 and 0.10 are one."""
    first: dict[Any, Any] = {}
    for value in spec:
        first.setdefault(_hashable(value), value)
    return [*first.values()]


def _hashable(value: Any) -> Any:
    """Return the same for values that are equal; true is no number."""
    if isinstance(value, Mapping):
        return dict, frozenset((key, _hashable(part)) for key, part in value.items())
    if isinstance(value, list | tuple):
        return list, tuple(map(_hashable, value))
    return (bool, value) if isinstance(value, bool) else value


def contender(point: Point) -> str:
    """Return the variant or the method of a point as it is swept, "" where all have the same.

    Points of one contender take about the same time.
    """
    swept = point.values.get(VARIANT, point.values.get(METHOD, ""))
    return swept if isinstance(swept, str) else as_yaml(swept)


@dataclass(frozen=True)
class SweepPlan:
    """What is swept: a scenario with overrides, and values by key, all of which are combined.

    To ``keep_going``, a point whose model or method cannot be made is refused when it runs.
    """

    scenario: str
    overrides: Mapping[str, Any]
    axes: Axes
    replications: int = 1
    keep_going: bool = False

    def __post_init__(self) -> None:
        """Refuse keys that would undo each other."""
        if self.replications < 1:
            raise InputError.of_option(
                f"--replications {self.replications}", Code.WRONG_VALUE, "must be at least 1"
            )
        if self.replications > 1 and "seed" in (*self.specs, *self.axes.variant_keys):
            seeded = [name for name, keys in self.axes.variants.items() if "seed" in keys]
            place = self.axes.place_of(seeded[0]) if seeded else Place("-p")
            helps = "leave one of them out"
            text = "replications have seeds of their own"
            raise InputError(Statement.of(Code.CONFLICT, "seed", text, helps), place)
        if not self.specs and self.replications == 1:
            raise InputError.of_option(
                "-p",
                Code.MISSING,
                "nothing is varied; name a key by -p KEY=SPEC, --variants FILE or --replications N",
            )
        swept = [key for key in self.specs if key != VARIANT]
        for key in swept:
            self._check(Place("-p"), key, (*swept, *self.axes.variant_keys))
        for name, keys in self.axes.variants.items():
            for key in keys:
                self._check(self.axes.place_of(name), key, (*keys, *swept))
                if key in swept:
                    raise InputError.of_option(
                        f"-p {key}",
                        Code.CONFLICT,
                        "is given by variant {name} as well",
                        "leave one of them out",
                        name=name,
                    )

    def _check(self, place: Place, key: str, beside: Sequence[str]) -> None:
        """Refuse a key that changes nothing, or that undoes one beside it or one that is set."""

        def refused(code: Code, text: str, *helps: Remedy, **values: str) -> InputError:
            return InputError(Statement.of(code, key, text, *helps, **values), place)

        if key in OUTSIDE:
            helps = "sweep another key"
            raise refused(Code.UNUSED, "changes nothing in a run", helps)
        if key in self.overrides:
            other = "--seed" if key == "seed" else f"--set {key}"
            helps = "leave one of them out"
            raise refused(Code.CONFLICT, "is given by {other} as well", helps, other=other)
        for other in (*beside, *self.overrides):
            if other.startswith(f"{key}."):
                text = "would undo {other}, which is given as well"
                raise refused(Code.CONFLICT, text, other=other)

    @property
    def specs(self) -> Mapping[str, Spec]:
        """The values by key, in the order in which they are varied."""
        return self.axes.specs

    @cached_property
    def about(self) -> dict[str, Any]:
        """What `sweep.json` says: what was asked for, and the points that this makes."""
        return {
            "schema": SCHEMA,
            "scenario": self.scenario,
            "set": dict(self.overrides),
            **({"variants": self.axes.variants} if self.axes.variants else {}),
            "replications": self.replications,
            "keys": list(self.points[0].values),
            "made_with": versions(),
            "points": [asdict(point) for point in self.points],
        }

    @cached_property
    def count(self) -> int:
        """How many points there will be, found without making them."""
        return math.prod(len(_apart(spec)) for spec in self.specs.values()) * self.replications

    @cached_property
    def read(self) -> Read:
        """The scenario, read once, for overrides of all points."""
        import scenarios

        return scenarios.reader(self.scenario)

    @cached_property
    def seed(self) -> int:
        """The seed of the first replication: the scenario's."""
        # Any one value of each key makes a complete scenario.
        others = {key: spec[0] for key, spec in self.specs.items() if key != "seed"}
        return self._load(others, None)[1].seed

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """All points, in the order of the rows; InputError for too many, and for a wrong one."""
        if self.count > MOST_POINTS:
            raise InputError.of(
                Code.WRONG_VALUE,
                "",
                f"{{points:,}} points are more than {MOST_POINTS:,}",
                "take coarser steps",
                points=self.count,
            )
        return tuple(self._points())

    def _points(self) -> Iterator[Point]:
        seen: set[bool] = set()
        refused: list[InputError] = []
        every = product(combinations(self.specs), range(self.replications))
        for number, (values, replication) in enumerate(every):
            seed = self.seed + replication if self.replications > 1 else None
            overrides, world = self._load(values, seed)
            try:
                self._check_learning(world, values)
            except InputError as error:
                refused.append(error)
                if not self.keep_going or len(refused) == self.count:
                    raise refused[0] from None
            identity = point_identity(world)
            _check_of_one_kind(seen, world, values)
            yield Point(
                number,
                identity.digest,
                self.scenario,
                overrides,
                values,
                replication,
                world.seed,
                identity.besides_code,
                identity.code,
                world.scenario.learning is None,
            )

    def _load(self, values: Mapping[str, Any], seed: int | None) -> tuple[dict[str, Any], World]:
        """Return overrides and world of one point, whose keys are checked."""
        overrides = {**self.overrides, **self.axes.overrides(values)}
        if seed is not None:
            overrides["seed"] = seed
        try:
            return overrides, World(self.read(overrides, self.axes.of_a_file(values)))
        except ValueError as error:
            raise self._of_the_sweep(error, values) from None

    def _check_learning(self, world: World, values: Mapping[str, Any]) -> None:
        """Raise InputError for a point whose model or method cannot be made."""
        from sim.engine.setup import method_of

        try:
            if world.scenario.learning is not None:
                method_of(world)
        except ValueError as error:
            raise self._of_the_sweep(error, values) from None

    def _of_the_sweep(self, error: ValueError, values: Mapping[str, Any]) -> InputError:
        """Say `-p KEY` for a key that is swept; elsewhere add which point it is that is wrong."""
        said = statement_of(error)
        place = error.place if isinstance(error, Refused) else None
        more = error.more if isinstance(error, Refused) else 0
        key = dotted(said.path)
        variant = values.get(VARIANT, "")
        own = self.axes.variants.get(variant, {})
        of_all = _names(self.overrides, key)
        if own and not of_all and (place == SET or _names(own, key)):
            return InputError(said, self.axes.place_of(variant), more)
        if _names(values, key):
            near = said.values.get("near")
            inner = len(said.path) > 1 and near not in Scenario.model_fields
            if near is not None and inner and "." not in near:
                beside = f"{dotted(said.path[:-1])}.{near}"  # `-p` needs the section before it
                said = replace(said, values={"near": beside})
            return InputError(said, Place(option="-p"), more)
        return InputError(said, replace(place or Place(), at=labelled(values, values)), more)


def _check_of_one_kind(seen: set[bool], world: World, values: Mapping[str, Any]) -> None:
    """Refuse a point that learns beside network studies; whether one does is added to ``seen``."""
    seen.add(world.scenario.learning is None)
    if len(seen) > 1:
        text = "is there in some points, which learn, and not in others, which are network studies"
        said = Statement.of(Code.CONFLICT, "learning", text, "sweep one kind at a time")
        raise InputError(said, Place(at=labelled(values, values)))


def _names(keys: Iterable[str], key: str) -> bool:
    """Whether a key, or one that it lies in, is among some."""
    return any(key == one or key.startswith(f"{one}.") for one in keys)


def scenario_name(given: str | Path) -> str:
    """Return the name of a shipped scenario, or the absolute path of a file that is there."""
    import scenarios

    name = str(given)
    if name in scenarios.shipped():
        return name
    if not Path(name).is_file():
        scenarios.load(name)  # says what there is instead
    return str(Path(name).resolve())


def read_again(scenario: Scenario) -> tuple[str, dict[str, Any]]:
    """Return the name or path of a scenario's file, and the overrides that it was loaded with.

    Points of a sweep, also of one that is resumed, are read from that file. Raises InputError for a
    scenario that was not loaded from a file, or that was changed since.
    """
    import scenarios

    path = scenario.source_path
    overrides = {key: _value_at(scenario, key) for key in scenario.overridden}
    if path is None or scenarios.load(path, overrides) != scenario:
        raise InputError.of_option(
            "scenario",
            Code.WRONG_VALUE,
            "is a Scenario that its file and overrides do not give"
            if path is not None
            else "is a Scenario that was not loaded from a file",
            "give a name or path, and what you change of it as overrides",
        )
    return path.stem if scenarios.is_shipped(path) else str(path.resolve()), overrides


def _value_at(scenario: Scenario, key: str) -> Any:
    """Return what a scenario has at a dotted key, without values that nobody has set."""
    value: Any = scenario.model_dump(mode="json", exclude_unset=True)
    for part in key.split("."):
        value = value[int(part)] if isinstance(value, list) else value.get(part)
    return value
