"""Which value of one key of a sweep is best where all other keys are equal, by how much, and why.

Values are compared two by two, at all points that both have a figure of: what a third one lacks
does not count.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from sim.analysis.lead import Case, Figures
from sim.analysis.measure import Measure
from sim.analysis.pair_tests import pair_tests
from sim.analysis.rows import Answer, answer_of
from sim.analysis.verdict import Ranking, Verdict, in_order
from sim.formatting import as_yaml
from sim.sweep.differences import Reason, Row, Runs, reasons

FEWEST_COMMON = 0.5
"""Share of the points that two values must both have a figure at: others would be an odd few."""

Cases = Mapping[str, Mapping[Case, Row]]
"""Rows by the value of a key, and by what the others are."""


@dataclass(frozen=True)
class Interaction:
    """Another key whose value decides which of two values is ahead.

    ``answers`` has one of its values for either order, with what can be said there.
    """

    key: str
    answers: Mapping[str, Answer]


@dataclass(frozen=True)
class KeyAnswer:
    """What one key of a sweep does to a figure where all other keys are equal.

    ``answer`` has a row per value that has a figure at enough points. ``points`` is at how many
    settings and seeds two values or more have a row, ``compared`` at how many the first two of the
    verdict have a figure. ``counts`` says at how many points each value has one, ``reasons`` in
    what the first of these two differs from the second, and ``interactions`` which other keys turn
    their order.
    """

    key: str
    answer: Answer
    points: int
    compared: int
    counts: Mapping[str, int]
    reasons: tuple[Reason, ...] = ()
    interactions: tuple[Interaction, ...] = ()

    @property
    def without(self) -> list[str]:
        """Values that have no figure at any point."""
        return [value for value, count in self.counts.items() if not count]

    @property
    def no_effect(self) -> bool:
        """Whether all values have the same figure at each point."""
        ranking = self.answer.ranking
        return ranking.verdict is Verdict.TIE and len(ranking.best) == len(self.counts)


def by_key(
    rows: Sequence[Row],
    varied: Sequence[str],
    measure: Measure,
    runs: Runs,
    asked: Sequence[str],
) -> Iterator[KeyAnswer]:
    """Yield for each of several keys which value is best where all others are equal, and why.

    ``varied`` are the keys but the seed that have more values than one, ``asked`` those of them
    that are compared: numbers on an axis are not.
    """
    if len(varied) < 2:
        return
    known = {key: OneKey.of(key, rows, varied, measure.column) for key in asked}
    tests = pair_tests({key: measure.asked(one.enough, one.fewest) for key, one in known.items()})
    for key, one in known.items():
        answer = answer_of(measure, one.enough, tests, group=key, name=key, fewest=one.fewest)
        others = [other for other in varied if other != key]
        yield _of_key(one, answer, others, runs)


class OneKey(NamedTuple):
    """The values of one key in order: their rows, and their figures, by what the others are.

    ``points`` is at how many settings and seeds two values or more have a row.
    """

    key: str
    cases: Cases
    figures: Mapping[str, Figures]
    points: int

    @classmethod
    def of(cls, key: str, rows: Sequence[Row], keys: Sequence[str], column: str) -> Self:
        """Sort the rows of a sweep by the value of a key."""
        rest = [other for other in keys if other not in (key, "seed")]
        cases: dict[str, dict[Case, Row]] = {}
        for row in rows:
            setting = as_yaml([row[other] for other in rest])
            cases.setdefault(as_yaml(row[key]), {})[setting, row["seed"]] = row
        figures = {
            value: {
                case: float(row[column])
                for case, row in cases[value].items()
                if row[column] is not None
            }
            for value in in_order(cases)
        }
        return cls(key, cases, figures, _in_several(cases))

    @property
    def fewest(self) -> float:
        """Points that two values must both have a figure at to be compared."""
        return max(1.0, FEWEST_COMMON * self.points)

    @property
    def enough(self) -> dict[str, Figures]:
        """Values that have a figure at enough points."""
        least = FEWEST_COMMON * self.points
        return {value: own for value, own in self.figures.items() if own and len(own) >= least}


UNEXPLAINED = (Verdict.WITHIN_NOISE, Verdict.LEVEL)
"""Verdicts on a distance that may be nothing: what differs beside it explains nothing."""


def _of_key(one: OneKey, answer: Answer, others: Sequence[str], runs: Runs) -> KeyAnswer:
    counts = {value: len(own) for value, own in one.figures.items()}
    ranking = answer.ranking
    if ranking.first is None or not ranking.leads:
        common = _in_several({value: own for value, own in one.figures.items() if own})
        return KeyAnswer(one.key, answer, one.points, common, counts)
    pair = ranking.first, _second(ranking)
    common_cases = sorted(one.figures[pair[0]].keys() & one.figures[pair[1]].keys())
    explained = ranking.verdict not in UNEXPLAINED and ranking.leads[pair[1]].effect
    why: tuple[Reason, ...] = ()
    if explained:
        best, second = ([one.cases[value][case] for case in common_cases] for value in pair)
        why = tuple(reasons(best, second, answer.measure.column, runs))
    interactions: tuple[Interaction, ...] = ()
    if ranking.verdict is not Verdict.TIE or ranking.behind:
        interactions = tuple(_interactions(one, pair, others, answer.measure))
    return KeyAnswer(one.key, answer, one.points, len(common_cases), counts, why, interactions)


def _second(ranking: Ranking) -> str:
    """Return whom the first one is compared with: one that is level but not equal comes first."""
    unlike = [
        label
        for label in ranking.best
        if label in ranking.leads and any(ranking.leads[label].by_case.values())
    ]
    return (*unlike, *ranking.against, *ranking.leads)[0]


def _in_several(sets: Mapping[str, Mapping[Case, object]]) -> int:
    """How many cases two values or more have."""
    held = Counter(case for own in sets.values() for case in own)
    return sum(count > 1 for count in held.values())


def _interactions(
    one: OneKey, pair: tuple[str, str], others: Sequence[str], measure: Measure
) -> Iterator[Interaction]:
    """Yield other keys that turn the order of two values of a key around, by more than noise."""
    own = [one.figures[value] for value in pair]
    for other in others:
        settings: dict[str, list[Case]] = {}
        for case in sorted(own[0].keys() & own[1].keys()):
            settings.setdefault(as_yaml(one.cases[pair[0]][case][other]), []).append(case)
        candidates = {
            value: {
                f"{one.key}={name}": {case: figures[case] for case in cases}
                for name, figures in zip(pair, own, strict=True)
            }
            for value, cases in sorted(settings.items())
        }
        tests = pair_tests({value: measure.asked(each) for value, each in candidates.items()})
        ahead: dict[str, list[tuple[float, str, Answer]]] = {}
        for value, each in candidates.items():
            answer = answer_of(measure, each, tests, group=one.key, name=value)
            if answer.ranking.winners:
                [best] = answer.ranking.winners
                [lead] = answer.ranking.leads.values()
                ahead.setdefault(best, []).append((lead.effect or 0.0, value, answer))
        if len(ahead) == len(pair):
            most = [max(ahead[f"{one.key}={name}"], key=lambda each: each[:2]) for name in pair]
            yield Interaction(other, {value: answer for _, value, answer in most})
