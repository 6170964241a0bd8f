"""Which value of one key of a sweep is best where all other keys are equal, by how much, and why.

Values are compared two by two, at all points that both have a figure of: what a third one lacks
does not count.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

from sim.analysis.lead import Case, Figures
from sim.analysis.verdict import Ranking, Verdict, in_order, rank_each
from sim.formatting import as_yaml, listed
from sim.sweep.differences import Question, Row, Runs, reasons

FEWEST_COMMON = 0.5
"""Share of the points that two values must both have a figure at: others would be an odd few."""

Cases = Mapping[str, Mapping[Case, Row]]
"""Rows by the value of a key, and by what the others are."""


def by_key(
    rows: Sequence[Row], keys: Sequence[str], question: Question, runs: Runs
) -> Iterator[str]:
    """Say for each of several keys which value is best where all others are equal, and why."""
    varied = [key for key in keys if key != "seed" and len({as_yaml(r[key]) for r in rows}) > 1]
    if len(varied) < 2:
        return
    known = {key: OneKey.of(key, rows, keys, question.column) for key in varied}
    rankings = rank_each({key: question.of(one.enough, one.fewest) for key, one in known.items()})
    for key, one in known.items():
        others = [other for other in varied if other != key]
        yield from _of_key(one, rankings[key], others, question, runs)


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


def _of_key(
    one: OneKey, ranking: Ranking, others: Sequence[str], question: Question, runs: Runs
) -> Iterator[str]:
    key, cases, points = one.key, one.cases, one.points
    sets = {value: own for value, own in one.figures.items() if own}
    none = [value for value in one.figures if value not in sets]
    if not points:
        yield f"By {key}: no two points differ in it alone; sweep a grid to tell."
        return
    if len(sets) < 2:
        yield from (f"By {key}: only {value} has a figure." for value in sets)
        return
    if ranking.first is None or not ranking.leads:
        yield f"By {key}: {_why_not(ranking, sets, points)}."
        return
    best = ranking.first
    second = _second(ranking)
    common = sorted(sets[best].keys() & sets[second].keys())
    left = f" ({len(common)} of {points} points)" if len(common) < points else ""
    left += f", but for {listed(none)}, without a figure" if none else ""
    text = question.verdict(ranking)
    explained = ranking.verdict not in UNEXPLAINED and ranking.leads[second].effect
    why = _why(cases, (best, second), common, question, runs) if explained else ""
    yield f"By {key}, all else equal{left}: {text}.{why}"
    if ranking.verdict is not Verdict.TIE or ranking.behind:
        pair = (best, second)
        yield from _turns(key, pair, [sets[value] for value in pair], cases[best], others, question)


UNEXPLAINED = (Verdict.WITHIN_NOISE, Verdict.LEVEL)
"""Verdicts on a distance that may be nothing: what differs beside it explains nothing."""
MOST_NAMED = 5
"""Values whose figures are counted where too few can be compared."""


def _why_not(ranking: Ranking, sets: Mapping[str, Figures], points: int) -> str:
    """Say why the values of a key cannot be compared."""
    if ranking.verdict is Verdict.NO_ORDER:
        return "no value is ahead of all others"
    has = ", ".join(f"{value} at {len(own)}" for value, own in list(sets.items())[:MOST_NAMED])
    few = f"only {_in_several(sets)} of {points} points can be compared, too few"
    return f"{few} (with a figure: {has})"


def _second(ranking: Ranking) -> str:
    """Return whom the first one is compared with: one that is level but not equal comes first."""
    unlike = [x for x in ranking.best if x in ranking.leads and any(_apart(ranking, x))]
    return (*unlike, *ranking.against, *ranking.leads)[0]


def _apart(ranking: Ranking, label: str) -> Iterator[float]:
    yield from ranking.leads[label].by_case.values()


def _why(
    cases: Cases, pair: tuple[str, str], common: Sequence[Case], question: Question, runs: Runs
) -> str:
    """Say what the first of two values has more or less of than the second, in the mean."""
    best, second = ([cases[value][case] for case in common] for value in pair)
    why = "; ".join(reasons(best, second, question, runs))
    means = ", in the mean" if len(common) > 1 else ""
    return f" With {pair[0]}{means}: {why}." if why else ""


def _in_several(sets: Mapping[str, Mapping[Case, object]]) -> int:
    """How many cases two values or more have."""
    held = Counter(case for own in sets.values() for case in own)
    return sum(count > 1 for count in held.values())


def _turns(
    key: str,
    pair: tuple[str, str],
    figures: Sequence[Figures],
    rows: Mapping[Case, Row],
    others: Sequence[str],
    question: Question,
) -> Iterator[str]:
    """Say which other keys turn the order of two values of a key around, by more than noise."""
    named = [f"{key}={value}" for value in pair]
    for other in others:
        ahead: dict[str, list[tuple[float, str]]] = {value: [] for value in named}
        settings: dict[str, list[Case]] = {}
        for case in sorted(figures[0].keys() & figures[1].keys()):
            settings.setdefault(as_yaml(rows[case][other]), []).append(case)
        asked = {
            value: question.of(
                {
                    name: {case: own[case] for case in cases}
                    for name, own in zip(named, figures, strict=True)
                }
            )
            for value, cases in sorted(settings.items())
        }
        for value, ranking in rank_each(asked).items():
            if ranking.winners:
                [best] = ranking.winners
                [one] = ranking.leads.values()
                said = f"at {other}={value}, {question.verdict(ranking)}"
                ahead[best].append((one.effect or 0.0, said))
        if all(ahead.values()):
            most = "; ".join(max(ahead[value])[1] for value in named)
            yield f"It depends on {other}: {most}."
