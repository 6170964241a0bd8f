"""What a comparison of groups has found: its table, one sentence, and what qualifies it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sim.analysis.checks import Check
from sim.analysis.figure_column import FigureColumn
from sim.analysis.figures import FEWEST_TESTED, Figure, figure_of_network, in_column, in_percent
from sim.analysis.notebook import framed
from sim.analysis.numeric import NumericSweep
from sim.analysis.ranking import ComparedRun, Verdict, mean_of, number_of, ranked, values_of
from sim.analysis.screen import LONGEST_HEADLINE, fitted_headline
from sim.formatting import capital, counted, listed, percent, some
from statements import Code, Other, Remedy, Statement, as_json, by_rank, sentence

if TYPE_CHECKING:
    import pandas as pd

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

    Of a sweep, ``keys_compared`` compare the values of each key that has names, all else equal,
    ``numeric`` has the order of its combinations over keys with numbers, and ``runs`` are the
    folders of each group whose runs were read.
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
    keys_compared: Mapping[str, Comparison] | None = field(default=None, repr=False)
    numeric: NumericSweep | None = field(default=None, repr=False)
    runs: Mapping[str, Sequence[Path]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        cases: Sequence[ComparedRun],
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
        keys = self.keys_compared
        by_key = {} if keys is None else {"keys": {key: keys[key].in_short for key in keys}}
        return {
            "headline": self.headline,
            "notes": list(self.notes),
            "limits": [as_json(one) | {"text": limit_text(one)} for one in self.limits],
            "checks": [one.as_json() for one in self.checks],
            **self.about,
            "beside": {column: dict(means) for column, (_, means) in self.beside.items()},
            "rows": self._records,
            **by_key,
        }

    @property
    def in_short(self) -> dict[str, Any]:
        """The headline and the rows, as JSON."""
        return {"headline": self.headline, "rows": self._records}

    @property
    def _records(self) -> list[dict[str, Any]]:
        return self.rows.astype(object).where(self.rows.notna(), None).to_dict("records")

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

    def column(self, name: str, groups: Sequence[str] | None = None) -> FigureColumn:
        """Return a figure by group, those given or all, the best first.

        Times to targets share one unit.
        """
        if name in self.beside:
            figure, known = self.beside[name]
            means = {group: known.get(group, math.nan) for group in groups or self.groups}
            missing = {group: "-" if math.isnan(mean) else "" for group, mean in means.items()}
            each = {group: [] if missing[group] else [mean] for group, mean in means.items()}
            plain, shown = figure._replace(best=""), in_column(figure, means.values())
            return FigureColumn(name, plain, shown, means, missing, seeds=each)
        own = self.by(name)
        figure = self.figures[name]
        times = [column for column in self.figures if self.figures[column].target]
        of_unit = self.rows[self.rows["figure"].isin(times)] if figure.target else own
        rows = {row.group: row for row in own.itertuples(index=False)}
        asked = groups or [*rows]
        means = {group: rows[group].mean if group in rows else math.nan for group in asked}
        missing = self._missing(name, [group for group in asked if math.isnan(means[group])])
        seeds = self.seeds_of(name)
        return FigureColumn(
            name,
            figure,
            in_column(figure, of_unit["mean"]),
            means,
            {group: missing.get(group, "") for group in asked},
            {group: (row.low, row.high) for group, row in rows.items()},
            {group: self._verdict(row) for group, row in rows.items()},
            {group: () if group in missing else seeds[group] for group in asked},
            self.leaders(name),
            {group: row.seeds for group, row in rows.items()},
        )

    def _verdict(self, row: Any) -> str:
        """Return the verdict of a row, or why its group has no run that counts."""
        if row.verdict == Verdict.NOT_REACHED:
            return self.lacking.get(row.group, row.verdict)
        return row.verdict if isinstance(row.verdict, str) else ""

    @property
    def columns(self) -> list[FigureColumn]:
        """The figures of the table by which groups have rows, in its order."""
        return [self.column(name) for name in self.figures if len(self.by(name))]

    def columns_of_combinations(self, groups: Sequence[str]) -> list[FigureColumn]:
        """Return all figures of some groups: what was learnt, times to targets, what is beside."""
        figures = sorted(
            self.figures, key=lambda key: (bool(self.figures[key].target), key != self.leading)
        )
        return [self.column(name, groups) for name in (*figures, *self.beside)]

    def seeds_of(self, column: str) -> dict[str, list[float]]:
        """Return the values of each group by a figure, the mean over settings of each seed."""
        own = self.values[self.values["figure"] == column]
        means = own.groupby(["group", "seed"], sort=False)["value"].mean()
        found: dict[str, list[float]] = {}
        for (group, _), mean in means.items():
            found.setdefault(group, []).append(mean)
        return found

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
            return fitted_headline("", dict.fromkeys([capital(parts[0]), *parts[1:]], 0)), []
        decided = self.telling
        if not _is_decided(known[decided]):
            return self._no_difference(first) or self._values(first), []
        also = [] if self.figures[decided].learnt or not self.figures[first].learnt else [first]
        notes = filter(None, map(self._no_difference, [*also, decided]))
        return self._values(decided), [f"{note}." for note in notes]

    def _values(self, column: str) -> str:
        """Say which groups are first by a figure, with its value, and what the others have."""
        own = self.column(column)
        figure = own.figure
        alike: dict[str, list[str]] = {}
        without: dict[str, list[str]] = {}
        is_spent = figure.spent and any(mean > 0.0 for mean in own.means.values())
        for group, mean in own.means.items():
            if is_spent and not mean:
                without.setdefault("nothing", []).append(group)
            else:
                texts = without if own.missing[group] else alike
                texts.setdefault(own.with_unit(group), []).append(group)
        (best, leaders), *rest = alike.items()
        alone = len(leaders) == len(own.means)
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
        if len(f"{names} {said}") > LONGEST_HEADLINE:
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

    def _missing(self, column: str, groups: Sequence[str]) -> dict[str, str]:
        """Say why groups have no mean of a figure: "never", "in 2 of 3 seeds"."""
        figure = self.figures[column]
        own = self.values[(self.values["figure"] == column) & self.values["group"].isin(groups)]
        has = own["value"].notna().groupby([own["group"], own["seed"]], sort=False).all()
        count = has.groupby(level=0, sort=False).agg(["sum", "size"])
        found = dict.fromkeys(groups, "never" if figure.target else "none")
        for group, reached, seeds in count[count["sum"] > 0].itertuples():
            found[group] = f"in {reached} of {counted(seeds, 'seed')}"
        if figure.learnt:
            found |= {group: "not trained" for group in groups if group in self.untrained}
        return found | {group: self.lacking[group] for group in groups if group in self.lacking}

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
        return text if len(text) <= LONGEST_HEADLINE else short

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
    cases: Sequence[ComparedRun], figures: Mapping[str, Figure]
) -> dict[str, tuple[Figure, dict[str, float]]]:
    """Return figures by which nobody is best, with the mean of each group, as far as known."""
    found = {}
    for column, figure in figures.items():
        values: dict[str, list[float]] = {}
        for case in cases:
            values.setdefault(case.group, []).append(number_of(case.figures.get(column)))
        means = {group: mean_of(own, figure)[0] for group, own in values.items()}
        if not all(map(math.isnan, means.values())):
            found[column] = (figure, means)
    return found


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
    if len(whole) <= LONGEST_HEADLINE or not parts:
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
    return short if len(short) <= LONGEST_HEADLINE else first


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
        yield Statement.note(Code.FEW_SEEDS, "seed", text, *helps, seeds=seeds, least=FEWEST_TESTED)


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
