"""Which value of one key of a sweep is best where all other keys are equal, by how much, and why.

Values are compared two by two, at all points that both have a figure of: what a third one lacks
does not count.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from statistics import mean

from sim.formatting import as_yaml, some
from sim.sweep.differences import Case, Figures, Question, Row, Runs, gap, lead, reasons

FEWEST_COMMON = 0.5
"""Share of the points that two values must both have a figure at: others would be an odd few."""

Cases = Mapping[str, Mapping[Case, Row]]
"""Rows by the value of a key, and by what the others are."""


def by_key(
    rows: Sequence[Row], keys: Sequence[str], question: Question, runs: Runs
) -> Iterator[str]:
    """Say for each of several keys which value is best where all others are equal, and why."""
    varied = [key for key in keys if key != "seed" and len({as_yaml(r[key]) for r in rows}) > 1]
    for key in varied if len(varied) > 1 else ():
        rest = [other for other in keys if other not in (key, "seed")]
        cases: dict[str, dict[Case, Row]] = {}
        for row in rows:
            setting = as_yaml([row[other] for other in rest])
            cases.setdefault(as_yaml(row[key]), {})[setting, row["seed"]] = row
        others = [other for other in rest if other in varied]
        yield from _of_key(key, cases, others, question, runs)


def _of_key(
    key: str, cases: Cases, others: Sequence[str], question: Question, runs: Runs
) -> Iterator[str]:
    column, points = question.column, _in_several(cases)
    known = {
        value: {case: float(row[column]) for case, row in own.items() if row[column] is not None}
        for value, own in cases.items()
    }
    sets = {value: own for value, own in known.items() if own}
    none = [value for value in known if value not in sets]
    if not points:
        yield f"By {key}: no two points differ in it alone; sweep a grid to tell."
        return
    if len(sets) < 2:
        yield from (f"By {key}: only {value} has a figure." for value in sets)
        return
    enough = [value for value, own in sets.items() if len(own) >= FEWEST_COMMON * points]

    def ahead(one: str, other: str) -> float | None:
        return _ahead(sets[one], sets[other], points, question)

    def leads(one: str, other: str) -> Collection[float]:
        return lead(sets[one], sets[other], question).values()

    # The best one mostly has all figures and the best mean: few pairs have to be looked at.
    order = sorted(enough, key=lambda value: mean(sets[value].values()), reverse=question.rising)
    order.sort(key=lambda value: -len(sets[value]))
    best = next((a for a in order if all((ahead(a, b) or 0.0) >= 0.0 for b in enough)), None)
    rest = [] if best is None else [(b, ahead(best, b)) for b in enough if b != best]
    behind = {b: apart for b, apart in rest if apart is not None}
    if best is None or not behind:
        has = ", ".join(f"{value} at {len(own)}" for value, own in list(sets.items())[:MOST_NAMED])
        why = f"only {_in_several(sets)} of {points} points can be compared, too few "
        why += f"(with a figure: {has})"
        yield f"By {key}: {why if best or not enough else 'no value is ahead of all others'}."
        return
    level = [best, *(value for value, apart in behind.items() if apart == 0.0)]
    unlike = [value for value in level if any(leads(value, best))]
    left = f", but for {_listed(none)}, without a figure" if none else ""
    if len(level) > len(behind) and not unlike:
        yield f"By {key}, all else equal{left}: no difference between {_listed(level)}."
        return
    after = [value for value in behind if value not in level]
    second = unlike[0] if unlike else min(after, key=behind.__getitem__)
    common = sorted(sets[best].keys() & sets[second].keys())
    left = (f" ({len(common)} of {points} points)" if len(common) < points else "") + left
    names = _listed(level)
    if unlike:
        yield (
            f"By {key}, all else equal{left}: {names} are level in the mean, {best} ahead at "
            f"{sum(x > 0.0 for x in leads(best, second))} and {second} at "
            f"{sum(x < 0.0 for x in leads(best, second))} of {len(common)} points."
        )
    else:
        same = [b for b in after if not any(leads(b, second))]
        text, is_noise = gap(sets[best], sets[second], question)
        of_both = [[cases[value][case] for case in common] for value in (best, second)]
        why = "" if is_noise else "; ".join(reasons(of_both[0], of_both[1], question, runs))
        yield (
            f"By {key}, all else equal{left}: {names} {'are' if level[1:] else 'is'} best, before "
            f"{_listed(same)}: {text}." + f" With {best}: {why}." * bool(why)
        )
    pair = (best, second)
    yield from _turns(key, pair, [sets[value] for value in pair], cases[best], others, question)


MOST_NAMED = 5
"""Values that are named where several are level."""


def _listed(values: Sequence[str]) -> str:
    """Name values as a sentence does: "a, b and c"."""
    if len(values) > MOST_NAMED + 1:
        return some(values, MOST_NAMED)
    return " and ".join([", ".join(values[:-1]), values[-1]] if values[1:] else values)


def _in_several(sets: Mapping[str, Mapping[Case, object]]) -> int:
    """How many cases two values or more have."""
    held = Counter(case for own in sets.values() for case in own)
    return sum(count > 1 for count in held.values())


def _ahead(first: Figures, second: Figures, points: int, question: Question) -> float | None:
    """How far one value is ahead of another at the points of both; None where these are few."""
    common = first.keys() & second.keys()
    if len(common) < max(1.0, FEWEST_COMMON * points):
        return None
    one, two = (mean(own[case] for case in sorted(common)) for own in (first, second))
    sign = 1.0 if question.rising else -1.0
    return 0.0 if math.isclose(one, two, rel_tol=1e-9) else sign * (one - two)


def _turns(
    key: str,
    pair: tuple[str, str],
    figures: Sequence[Figures],
    rows: Mapping[Case, Row],
    others: Sequence[str],
    question: Question,
) -> Iterator[str]:
    """Say which other keys turn the order of two values of a key around, by more than noise."""
    for other in others:
        ahead: dict[bool, list[tuple[float, str]]] = {True: [], False: []}
        settings: dict[str, list[Case]] = {}
        for case in sorted(figures[0].keys() & figures[1].keys()):
            settings.setdefault(as_yaml(rows[case][other]), []).append(case)
        for value, cases in sorted(settings.items()):
            one, two = ({case: own[case] for case in cases} for own in figures)
            apart = _ahead(one, two, 1, question) or 0.0
            name, best, rest = (pair[0], one, two) if apart > 0.0 else (pair[1], two, one)
            text, is_noise = gap(best, rest, question)
            if apart and not is_noise and len({seed for _, seed in cases}) > 1:
                said = f"at {other}={value}, {key}={name} is ahead, {text}"
                ahead[apart > 0.0].append((abs(apart), said))
        if all(ahead.values()):
            most = "; ".join(max(ahead[way])[1] for way in (True, False))
            yield f"It depends on {other}: {most}."
