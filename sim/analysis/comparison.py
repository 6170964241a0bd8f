"""What a comparison of groups has found: its table, one sentence, and what qualifies it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sim.analysis.checks import Check
from sim.analysis.figures import FEWEST, Figure, figure_of_network, in_percent
from sim.analysis.notebook import framed
from sim.analysis.ranking import Case, Verdict, mean_of, ranked, values_of
from sim.formatting import capital, counted, listed, percent, some
from statements import Code, Other, Remedy, Statement, as_json, by_rank, sentence

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 90
"""Letters of a headline at most."""
MORE_SEEDS: Remedy = Other(said="run more seeds (--seed)")
"""What helps where runs of one seed were compared."""


class CheckOfRun(NamedTuple):
    """A check of one of the runs that are compared."""

    group: str
    seed: int
    check: Check

    def as_json(self) -> dict[str, Any]:
        """Return all of it, flat."""
        return {"group": self.group, "seed": self.seed, **self.check._asdict()}


@dataclass(frozen=True, eq=False)
class Comparison(Mapping[str, Any]):
    """What a comparison has found; as a mapping it is what ``compare --json`` prints.

    ``rows`` is the table: a row a figure and group, the best group first. ``headline`` is what was
    found in one sentence, ``notes`` are sentences that qualify it, and ``limits`` what limits its
    meaning; ``checks`` are those of single runs, and runs of ``untrained`` groups trained nothing.
    ``figures`` are those of the table by column, in its order, and ``values`` those of each run.
    ``leading`` is the column of the figure that matters most, by default the first. ``lacking``
    says why groups have none, and ``beside`` are figures by which nobody is best, by column, with
    the mean of each group. With ``folders`` it shows itself in a notebook as a page.
    """

    rows: pd.DataFrame
    figures: Mapping[str, Figure]
    values: pd.DataFrame = field(repr=False)
    headline: str = ""
    notes: tuple[str, ...] = ()
    limits: tuple[Statement, ...] = ()
    untrained: Collection[str] = field(default=(), repr=False)
    lacking: Mapping[str, str] = field(default_factory=dict, repr=False)
    beside: Mapping[str, tuple[Figure, Mapping[str, float]]] = field(
        default_factory=dict, repr=False
    )
    about: Mapping[str, Any] = field(default_factory=dict, repr=False)
    drawn: bool = field(default=True, repr=False)
    leading: str = field(default="", repr=False)
    checks: tuple[CheckOfRun, ...] = field(default=(), repr=False)
    folders: tuple[Path, ...] = field(default=(), repr=False)

    @classmethod
    def of(
        cls,
        cases: Sequence[Case],
        figures: Mapping[str, Figure],
        *,
        limits: Sequence[Statement] = (),
        drawn: bool = True,
        beside: Mapping[str, Figure] = {},
        leading: str = "",
        more_seeds: Remedy = MORE_SEEDS,
        **more: Any,
    ) -> Comparison:
        """Compare the groups of some cases by some figures.

        ``limits`` are those that are known; that losses differ is why what was learnt may not be
        compared. ``more`` are other fields.
        """
        values = values_of(cases, figures)
        rows = ranked(values, figures, drawn=drawn)
        unranked = [one for one in limits if one.code is Code.OTHER_LOSSES]
        if any(own.learnt for own in figures.values()):
            unranked = []
        every = [*(one for one in limits if one not in unranked)]
        every += _limits(rows, more_seeds, drawn=drawn or not cases)
        means = _means(cases, beside)
        known = {"limits": tuple(by_rank(every)), "beside": means, "drawn": drawn, **more}
        known["leading"] = leading or next(iter(figures), "")
        found = cls(rows, figures, values, **known).in_words()
        return replace(found, headline=capital(sentence(unranked[0]))) if unranked else found

    def regrouped(self, places: Mapping[str, tuple[str, str]]) -> Comparison:
        """Return the comparison of the same runs in other groups: by group, that and a setting."""
        group = self.values["group"].map({label: place[0] for label, place in places.items()})
        setting = self.values["group"].map({label: place[1] for label, place in places.items()})
        values = self.values.assign(group=group, setting=setting)
        rows = ranked(values, self.figures, drawn=self.drawn)
        regrouped = Comparison(rows, self.figures, values, drawn=self.drawn, leading=self.leading)
        return regrouped.in_words()

    @cached_property
    def printed(self) -> Mapping[str, Any]:
        """What ``compare --json`` prints."""
        return {
            "headline": self.headline,
            "notes": list(self.notes),
            "limits": [as_json(one) | {"text": limit_text(one)} for one in self.limits],
            "checks": [one.as_json() for one in self.checks],
            **self.about,
            "beside": {column: dict(means) for column, (_, means) in self.beside.items()},
            "rows": self.rows.astype(object).where(self.rows.notna(), None).to_dict("records"),
        }

    @property
    def groups(self) -> list[str]:
        """The groups, in order of the leading figure."""
        rows = self.by(self.leading) if self.leading else self.rows
        return [*dict.fromkeys(rows["group"])] or [*dict.fromkeys(self.values["group"])]

    @property
    def known(self) -> list[str]:
        """The columns in which some group has a mean: the leading one, then the others in order."""
        columns = sorted(self.figures, key=lambda column: column != self.leading)
        return [column for column in columns if self.by(column)["mean"].notna().any()]

    @property
    def telling(self) -> str:
        """The column of the headline: the first by which groups may differ, or the first known.

        Columns that say nothing of what was learnt, and that some group does not have, come last.
        It is empty where no figure is known.
        """
        known = sorted(self.known, key=self._is_partial)
        decided = (column for column in known if _is_decided(self.by(column)))
        return next(decided, next(iter(known), ""))

    def _is_partial(self, column: str) -> bool:
        is_missing = (self.by(column)["verdict"] == Verdict.NOT_REACHED).any()
        return bool(is_missing) and not self.figures[column].learnt

    def by(self, column: str) -> pd.DataFrame:
        """Return the rows of a figure."""
        return self.rows[self.rows["figure"] == column]

    def leaders(self, column: str) -> list[str]:
        """Return the groups that are best by a figure: several if they are equal at every seed."""
        own = self.by(column)
        ranked = own[own["verdict"].notna()]
        words = dict(zip(ranked["group"], ranked["verdict"], strict=True))
        shared = [group for group, word in words.items() if word in (Verdict.BEST, Verdict.EQUAL)]
        alone = {*words.values()} <= {Verdict.BEST, Verdict.EQUAL, Verdict.BEHIND}
        return shared if alone and len(shared) < len(words) else []

    def seeds_of(self, column: str) -> dict[str, list[float]]:
        """Return the values of each group by a figure, the mean over settings of each seed."""
        own = self.values[self.values["figure"] == column]
        means = own.groupby(["group", "seed"], sort=False)["value"].mean()
        return {str(group): [*each] for group, each in means.groupby(level=0, sort=False)}

    def in_words(self) -> Comparison:
        """Return it with its headline, without a full stop, and sentences that qualify that."""
        headline, notes = self._sentences()
        return replace(self, headline=headline, notes=tuple(notes))

    def _sentences(self) -> tuple[str, list[str]]:
        """Return the headline, and sentences that qualify it; what was learnt comes first."""
        known = {column: self.by(column) for column in self.known}
        if not known:
            return "", []
        first = next(iter(known))
        if known[first]["group"].nunique() < 2:
            means = {column: own["mean"].iloc[0] for column, own in known.items()}
            figures = {column: self.figures[column] for column in means}
            parts = [f"{own.name} {own.text(means[column])}" for column, own in figures.items()]
            return fitted("", dict.fromkeys([capital(parts[0]), *parts[1:]], 0)), []
        decided = self.telling
        if not _is_decided(known[decided]):
            return self._no_difference(first) or self._values(first), []
        also = [] if self.figures[decided].learnt or not self.figures[first].learnt else [first]
        notes = filter(None, map(self._no_difference, [*also, decided]))
        return self._values(decided), [f"{note}." for note in notes]

    def _values(self, column: str) -> str:
        """Say which groups are first by a figure, with its value, and what the others have."""
        figure, own = self.figures[column], self.by(column)
        alike: dict[str, list[str]] = {}
        without: dict[str, list[str]] = {}
        is_spent = figure.spent and bool((own["mean"] > 0.0).any())
        for group, mean in zip(own["group"], own["mean"], strict=True):
            if math.isnan(mean):
                without.setdefault(self.why_none(column, group), []).append(group)
            elif is_spent and not mean:
                without.setdefault("nothing", []).append(group)
            else:
                alike.setdefault(figure.text(mean), []).append(group)
        (best, leaders), *rest = alike.items()
        alone = len(leaders) == len(own)
        one = len(leaders) == 1
        value = f"{best}{self._gain(column, leaders)}"
        target = in_percent(figure.target) if figure.target else ""
        if target and alone:
            said = f"{'reaches' if one else 'reach'} {target} after {value}"
        elif target:
            said = f"{'reaches' if one else 'reach'} {target} first ({value})"
        elif alone:
            said = f"{'has' if one else 'have'} the same {figure.name} ({value})"
        else:
            said = f"{'has' if one else 'have'} the {figure.best} {figure.name} ({value})"
        names = listed(leaders)
        if len(f"{names} {said}") > LONGEST:
            names = some(leaders, 1)
        return _fitted_sentence(f"{names} {said}", [*rest, *without.items()])

    def _gain(self, column: str, leaders: Sequence[str]) -> str:
        """Say how much more of a network's rate the first groups have than the one given first.

        Empty for other figures, and where that group is itself among the first.
        """
        figure = self.figures[column]
        base = str(self.values["group"].iloc[0])
        if figure_of_network(column) is None or not figure.rising or base in leaders:
            return ""
        means = self.by(column).set_index("group")["mean"]
        if not means[base] > 0.0:
            return ""
        return f", {percent(means[leaders[0]] / means[base] - 1.0, 0, '+')} over {base}"

    def why_none(self, column: str, group: str) -> str:
        """Say why a group has no mean of a figure: "never", "in 2 of 3 seeds"."""
        figure = self.figures[column]
        if group in self.lacking:
            return self.lacking[group]
        if group in self.untrained and figure.learnt:
            return "not trained"
        own = self.values[(self.values["figure"] == column) & (self.values["group"] == group)]
        known = own.groupby("seed")["value"].agg(lambda each: each.notna().all())
        if known.any():
            return f"in {int(known.sum())} of {counted(len(known), 'seed')}"
        return "never" if figure.target else "none"

    def _no_difference(self, column: str) -> str:
        """Say which groups no test tells from the first one by a figure; empty for none."""
        own = self.by(column)
        first, *_ = own["group"]
        level = [*own[own["verdict"] == Verdict.NO_DIFFERENCE]["group"]]
        names = [first, *(group for group in level if group != first)]
        if not names[1:]:
            return ""
        ending = f" in {self.figures[column].name} ({counted(int(own['seeds'].min()), 'seed')})"
        text = f"No difference found between {listed(names)}{ending}"
        short = f"No difference found between {len(names)} groups{ending}"
        return text if len(text) <= LONGEST else short

    def __getitem__(self, key: str) -> Any:
        """Return one part of what is printed."""
        return self.printed[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of these parts."""
        return iter(self.printed)

    def __len__(self) -> int:
        """Return how many parts there are."""
        return len(self.printed)

    def _repr_html_(self) -> str | None:
        """Return the page of the report in a frame; None without folders."""
        return framed(self.headline, self) if self.folders else None


def _means(
    cases: Sequence[Case], figures: Mapping[str, Figure]
) -> dict[str, tuple[Figure, dict[str, float]]]:
    """Return figures by which nobody is best, with the mean of each group, as far as known."""
    return {
        str(column): (
            figures[column],
            {
                str(group): mean_of(each["value"].to_numpy(), figures[column])[0]
                for group, each in own.groupby("group", sort=False)
            },
        )
        for column, own in values_of(cases, figures).groupby("figure", sort=False)
        if own["value"].notna().any()
    }


def _is_decided(own: pd.DataFrame) -> bool:
    """Return whether groups may differ by a figure, of which these are the rows."""
    found = {*own["verdict"]}
    differ = len({f"{mean:.12g}" for mean in own["mean"]}) > 1
    untested = differ and Verdict.TOO_FEW in found
    return untested or bool(found & {Verdict.BEST, Verdict.BEHIND, Verdict.NOT_REACHED})


def _fitted_sentence(first: str, others: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return a headline that says what is first, and as much of the others as it has room for.

    ``others`` are values with the groups that have them, the best first. Without room for each of
    them it says how many groups these are, and their first and last value.
    """
    parts = [f"{listed(groups)} {text}" for text, groups in others]
    whole = f"{first}; {', '.join(parts)}" if parts else first
    if len(whole) <= LONGEST or not parts:
        return whole
    count = counted(sum(len(groups) for _, groups in others), "other")
    (first_text, _), *_, (last_text, _) = [*others, *others[-1:]]
    value, _, unit = first_text.partition(" ")
    if first_text == last_text:
        ends = first_text
    elif last_text.endswith(f" {unit}"):
        ends = f"{value} to {last_text}"  # the unit once
    else:
        ends = f"{first_text} to {last_text}"
    short = f"{first}; {count} {ends}"
    return short if len(short) <= LONGEST else first


def fitted(head: str, parts: Mapping[str, int]) -> str:
    """Return a headline of as many parts as it has room for, and of how many groups it has none.

    ``parts`` are texts, with how many groups each is of.
    """
    shown, left = head, sum(parts.values())
    for text, count in parts.items():
        longer = f"{shown}{', ' if shown != head else ''}{text}"
        others = f"; and {counted(left - count, 'other')}" if left > count else ""
        if shown != head and len(longer + others) > LONGEST:
            break
        shown, left = longer, left - count
    return f"{shown}; and {counted(left, 'other')}" if left else shown


def _limits(rows: pd.DataFrame, more_seeds: Remedy, *, drawn: bool) -> Iterator[Statement]:
    """Yield what limits the meaning of a headline: that seeds change nothing, or are few."""
    if not drawn:
        text = "nothing here is drawn at random: every seed gives the same figures"
        yield Statement.note(Code.NOT_DRAWN, "seed", text)
    elif Verdict.TOO_FEW in {*rows["verdict"]}:
        seeds = int(rows["seeds"].min())
        text = "Fewer than {least} seeds in common: no test is possible"
        if seeds == 1:
            text = "There is only one seed, and the order may be chance"
        helps = [more_seeds] if seeds == 1 else []
        yield Statement.note(Code.FEW_SEEDS, "seed", text, *helps, seeds=seeds, least=FEWEST)


def limit_text(said: Statement) -> str:
    """Return what limits the meaning of a headline as a sentence."""
    return f"{capital(sentence(said))}."


def check_lines(comparison: Comparison) -> list[str]:
    """Return a line for each code of a check: its groups, unless it is all, and its first run.

    Of each run its first check counts: the page of the run has the others.
    """
    firsts: dict[tuple[str, int], CheckOfRun] = {}
    for one in comparison.checks:
        firsts.setdefault((one.group, one.seed), one)
    found: dict[str, list[CheckOfRun]] = {}
    for one in firsts.values():
        found.setdefault(one.check.code, []).append(one)
    lines: list[str] = []
    advised: set[str] = set()
    for same in found.values():
        groups = [*dict.fromkeys(one.group for one in same)]
        who = "" if len(groups) == len(comparison.groups) else f"{listed(groups)}: "
        first, *others = same
        more = f" (seed {first.seed}; {counted(len(others), 'other run')})" if others else ""
        advice = first.check.advice
        lines.append(f"{who}{first.check.sentence}{more}. {'' if advice in advised else advice}")
        advised.add(advice)
    return [line.rstrip() for line in lines]
