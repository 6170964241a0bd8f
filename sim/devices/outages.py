"""Who is out when: spells by chance of satellites and devices, and planned ones of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import SequenceMatcher

import numpy as np

from learning import stream
from scenarios.faults import PlannedOutage
from sim.errors import InputError
from sim.formatting import listed as listed_names
from sim.formatting import some
from sim.world.world import World
from statements import Code, KeyPath, Remedy, Statement
from statements.arrays import Floats, Ints


@dataclass(frozen=True, eq=False)
class Intervals:
    """Spans (N,) in seconds, in order of time and apart; a span holds its begin and not its end."""

    begin_s: Floats
    end_s: Floats

    def between(self, from_s: float, to_s: float) -> Intervals:
        """Return the parts of the spells that lie between two times."""
        begin_s = np.maximum(self.begin_s, from_s)
        end_s = np.minimum(self.end_s, to_s)
        left = end_s > begin_s
        return Intervals(begin_s[left], end_s[left])

    def spans(self) -> list[tuple[float, float]]:
        """Return begin and end of each, in order."""
        return list(zip(self.begin_s.tolist(), self.end_s.tolist(), strict=True))


NO_INTERVALS = Intervals(np.zeros(0), np.zeros(0))


def union(several: Iterable[Intervals]) -> Intervals:
    """Return the spans in which any of these hold; spans that overlap or touch become one."""
    held = [one for one in several if len(one.begin_s)]
    if len(held) < 2:
        return held[0] if held else NO_INTERVALS
    begin_s = np.concatenate([one.begin_s for one in held])
    order = np.argsort(begin_s, kind="stable")
    begin_s = begin_s[order]
    # Of each span, when it and all that began before it are over.
    end_s = np.maximum.accumulate(np.concatenate([one.end_s for one in held])[order])
    first = np.append(True, begin_s[1:] > end_s[:-1])
    return Intervals(begin_s[first], end_s[np.append(first[1:], True)])


def drawn_intervals(
    draws: np.random.Generator, apart_s: float, lasting_s: float, until_s: float
) -> Intervals:
    """Draw the spells of an alternating exponential process up to ``until_s``.

    ``apart_s`` is the mean time from the end of one to the begin of the next, ``lasting_s`` the
    mean of how long one lasts. The process is in its steady state at 0: a spell goes on then with
    probability ``lasting_s / (apart_s + lasting_s)``. A longer run begins with the same spells, and
    other means only stretch the same draws.
    """
    means = np.array([apart_s, lasting_s])
    inside = int(draws.random() < lasting_s / means.sum())
    edges = [np.zeros(inside)]
    last_s = 0.0
    while last_s <= until_s:
        # Always pairs, so that each block begins as the first one did.
        pairs = 8 + int(min((until_s - last_s) / means.sum(), 100_000.0))
        steps = draws.standard_exponential(2 * pairs) * np.tile(np.roll(means, -inside), pairs)
        # From one to the next, so that it does not matter how many are drawn at a time.
        times = np.cumsum(np.append(last_s, steps))[1:]
        edges.append(times)
        last_s = float(times[-1])
    times = np.concatenate(edges)
    begin_s, end_s = times[: len(times) // 2 * 2].reshape(-1, 2).T
    return Intervals(begin_s, end_s).between(0.0, until_s)


def drawn_spells(
    kind: str,
    world: World,
    names: Sequence[tuple[str | int, ...]],
    span_s: float,
) -> list[Intervals]:
    """Draw spells of a ``kind`` from a stream for each name.

    That is "outages" or "churn", a section of ``faults:``.
    """
    rule = getattr(world.faults, kind)
    if rule is None:
        return [NO_INTERVALS] * len(names)
    means_s = (  # from the end of one to the begin of the next, and how long one lasts
        (86_400.0 / rule.per_day, rule.mean_hours * 3600.0)
        if kind == "outages"
        else (rule.mean_present_hours * 3600.0, rule.mean_away_hours * 3600.0)
    )
    return [drawn_intervals(stream(world.seed, *name), *means_s, span_s) for name in names]


Ends = tuple[Sequence[str], Sequence[str]]
"""Names of those between whom contacts or links are: those of either end."""


@dataclass(frozen=True)
class Subject:
    """Who is out as planned: of which ``kind``, and its name, or those of a link's two ends."""

    kind: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        """Return words for it."""
        return f"{self.kind} {' - '.join(self.names)}"


@dataclass(frozen=True, eq=False)
class Outages:
    """The outages of one run: those ``drawn`` of satellites by name, and those ``planned``.

    ``nodes`` are the spells in which a satellite, a cluster or a station is out, for whatever
    reason, ``links`` those in which a link between two of them is; who has none is in neither.
    ``doubts`` are on planned ones that change nothing.
    """

    drawn: Mapping[str, Intervals] = field(default_factory=dict)
    planned: Mapping[Subject, Intervals] = field(default_factory=dict)
    nodes: Mapping[str, Intervals] = field(default_factory=dict)
    links: Mapping[frozenset[str], Intervals] = field(default_factory=dict)
    doubts: tuple[Statement, ...] = ()

    def of(self, names: Sequence[str]) -> list[Intervals]:
        """Return when each of these is out."""
        return [self.nodes.get(name, NO_INTERVALS) for name in names]

    def of_contacts(self, ends: Ends, one: Ints, other: Ints) -> tuple[Ints, list[Intervals]]:
        """Return spells, and which of them are those of each contact (N,): of it or either end.

        A contact is between ``one`` of the first ``ends`` and ``other`` of the second, by index.
        """
        if not self.links and self.nodes.keys().isdisjoint(ends[1]):
            return one, self.of(ends[0])
        which, pairs = _pairs(ends, one, other)
        return which, [union([*self.of(pair), self._of_link(pair)]) for pair in pairs]

    def of_links(self, ends: Ends, one: Ints, other: Ints) -> tuple[Ints, list[Intervals]]:
        """Return the same of links alone, without what their ends are out."""
        which, pairs = _pairs(ends, one, other)
        return which, [self._of_link(pair) for pair in pairs]

    def _of_link(self, pair: tuple[str, str]) -> Intervals:
        return self.links.get(frozenset(pair), NO_INTERVALS)


def _pairs(ends: Ends, one: Ints, other: Ints) -> tuple[Ints, list[tuple[str, str]]]:
    """Return the pairs of names that there are, and which of them each of N is."""
    many = len(ends[1])
    numbers, which = np.unique(one * many + other, return_inverse=True)
    pairs = [divmod(number, many) for number in numbers.tolist()]
    return which, [(ends[0][first], ends[1][second]) for first, second in pairs]


def outages_of(world: World, satellites: Sequence[str], start: datetime, span_s: float) -> Outages:
    """Return the outages of a run over ``span_s`` from its ``start``.

    Each of the ``satellites``, by name, fails by chance.
    Raises InputError for a planned outage of nobody, or that begins before the run.
    """
    spells = drawn_spells("outages", world, [("outage", name) for name in satellites], span_s)
    drawn = {name: out for name, out in zip(satellites, spells, strict=True) if len(out.begin_s)}
    planned, doubts = _planned(world, satellites, start, span_s)
    planned = {who: out for who, out in planned.items() if len(out.begin_s)}
    nodes: dict[str, list[Intervals]] = defaultdict(list)
    for name, out in drawn.items():
        nodes[name].append(out)
    for who, out in planned.items():
        if who.kind != "link":
            nodes[who.names[0]].append(out)
    return Outages(
        drawn=drawn,
        planned=planned,
        nodes={name: union(several) for name, several in nodes.items()},
        links={frozenset(who.names): out for who, out in planned.items() if who.kind == "link"},
        doubts=doubts,
    )


@dataclass(frozen=True)
class ListedOutage:
    """A planned outage, and its key."""

    outage: PlannedOutage
    key: KeyPath

    def refused(self, text: str, code: Code, *remedies: Remedy, key: str) -> InputError:
        """Return the error that says what is wrong with one of its keys."""
        return InputError.of(code, (*self.key, key), text, *remedies)


def _planned(
    world: World, satellites: Sequence[str], start: datetime, span_s: float
) -> tuple[dict[Subject, Intervals], tuple[Statement, ...]]:
    """Return when who is out as planned, and doubts on outages beyond the run."""
    if not world.faults.planned:
        return {}, ()
    known = _Known.of(world, satellites)
    found: dict[Subject, list[Intervals]] = defaultdict(list)
    doubts = []
    for number, outage in enumerate(world.faults.planned):
        listed = ListedOutage(outage, ("faults", "planned", number))
        who = known.subject(listed)
        begin_s, end_s = _span_s(listed, who, start, span_s)
        if begin_s < span_s:
            found[who].append(Intervals(np.array([begin_s]), np.array([end_s])))
            continue
        text = "the planned outage of {who} begins after the run has ended, at {begin_h:g} h"
        doubts.append(
            Statement.doubt(
                Code.LEFT_OUT, listed.key, text,
                who=str(who), begin_h=begin_s / 3600,
            )
        )  # fmt: skip
    return {who: union(several) for who, several in found.items()}, tuple(doubts)


def _span_s(
    listed: ListedOutage, who: Subject, start: datetime, span_s: float
) -> tuple[float, float]:
    """Return when a planned outage begins and ends; without an end, with the run."""
    outage = listed.outage

    def since_start_s(when: datetime | None, hours: float | None) -> float | None:
        if when is not None:
            return (when - start).total_seconds()
        return None if hours is None else hours * 3600.0

    begin_s = since_start_s(outage.from_utc, outage.from_hours)
    end_s = since_start_s(outage.to_utc, outage.to_hours)
    assert begin_s is not None  # the schema asks for one of the two
    if begin_s < 0.0:
        text = f"the outage of {who} begins before the run, which starts at "
        raise listed.refused(
            f"{text}{start:%Y-%m-%dT%H:%M:%SZ}",
            Code.WRONG_VALUE,
            "give from_hours: 0 in its place, or a later time",
            key="from_utc",
        )
    if end_s is None:
        end_s = max(span_s, np.nextafter(begin_s, np.inf))
    if end_s <= begin_s:
        text = f"the outage of {who} ends before it begins ({end_s / 3600:g} h after the start of "
        text += f"the run, and {begin_s / 3600:g} h)"
        key = "to_utc" if outage.to_utc is not None else "to_hours"
        raise listed.refused(text, Code.WRONG_VALUE, "give a later end", key=key)
    return begin_s, end_s


@dataclass(frozen=True)
class _Known:
    """The names that outages may have: by kind, each as it may be spelt with the name in a run."""

    names: Mapping[str, Mapping[str, str]]
    linked: bool
    """Whether satellites have links to each other."""

    @classmethod
    def of(cls, world: World, satellites: Sequence[str]) -> _Known:
        """Return those of a scenario whose passes are those of ``satellites``, by name."""
        flying = {name: name for name in satellites}
        if world.orbit.has_geometry:
            for one in world.fleet.flying:
                flying[one.name] = one.name
                if one.norad_id:
                    number = str(one.norad_id)
                    flying |= {number: one.name, f"{one.name} ({number})": one.name}
        return cls(
            {
                "satellite": flying,
                "station": {one.name: one.name for one in world.sites.serving},
                "cluster": {one.name: one.name for one in world.ground.clusters},
            },
            world.link.isl is not None,
        )

    def subject(self, listed: ListedOutage) -> Subject:
        """Return who is out; raise InputError for a name that nobody has, or a link of no kind."""
        outage = listed.outage
        if outage.kind != "link":
            return Subject(outage.kind, (self._name(listed, outage.kind, outage.names[0]),))
        kinds = [self._kind(listed, name) for name in outage.names]
        named = zip(kinds, outage.names, strict=True)
        names = [self._name(listed, kind, name) for kind, name in named]
        if "satellite" not in kinds:
            text = f"there are no links between a {kinds[0]} and a {kinds[1]}"
            raise listed.refused(text, Code.WRONG_VALUE, "name a satellite", key="link")
        if kinds == ["satellite", "satellite"] and not self.linked:
            text = "there are no links between satellites in this scenario"
            raise listed.refused(text, Code.CONFLICT, "give link.isl", key="link")
        return Subject("link", tuple(sorted(names)))

    def _kind(self, listed: ListedOutage, name: str) -> str:
        kinds = [kind for kind, names in self.names.items() if name in names]
        if not kinds:
            everybody = sorted({known for names in self.names.values() for known in names.values()})
            text = f"{name!r} is no satellite, and nothing that they fly over: there are "
            raise listed.refused(text + _nearest(name, everybody), Code.WRONG_VALUE, key="link")
        return kinds[0]

    def _name(self, listed: ListedOutage, kind: str, name: str) -> str:
        known = self.names[kind]
        if name in known:
            return known[name]
        key = kind if listed.outage.kind != "link" else "link"
        other = next((k for k, names in self.names.items() if name in names), None)
        if other is not None:
            text = f"{name!r} is a {other} here; write {other}: {name}"
        elif not known:
            there = listed_names([f"{k}s" for k, names in self.names.items() if names])
            text = f"there are no {kind}s in this scenario, which has {there}"
        else:
            text = f"no {kind} is called {name!r}; there are "
            text += _nearest(name, sorted(set(known.values())))
        raise listed.refused(text, Code.WRONG_VALUE, key=key)


MOST_NAMED = 5


def _nearest(wanted: str, names: Sequence[str]) -> str:
    """Name some of those that there are, the most similar ones first."""

    def unlike(name: str) -> float:
        return -SequenceMatcher(None, wanted.casefold(), name.casefold()).ratio()

    return some(sorted(names, key=unlike), MOST_NAMED)
