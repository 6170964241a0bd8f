"""One figure of a comparison: its mean, interval and verdict for each group."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sim.analysis.figures import Figure
from sim.analysis.ranking import Verdict


@dataclass(frozen=True, eq=False)
class FigureColumn:
    """One figure of a comparison: the rows of its table that have it, by group.

    figure: the figure in the unit of summaries; ``shown`` is in the one unit that fits all means.
    means: mean of each group in the unit of summaries, nan where it has none, in order.
    missing: why a group has no mean, by group; empty where it has one.
    ends: ends of the 95 % interval of each mean, nan where there is none.
    verdicts: verdict on each group, empty where it has none.
    seeds: values over the seeds of each group, empty where it has no mean.
    leaders: groups that are best by a test.
    seed_counts: seeds of each group, with a mean or without.
    """

    column: str
    figure: Figure
    shown: Figure
    means: Mapping[str, float]
    missing: Mapping[str, str]
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    verdicts: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    leaders: Collection[str] = ()
    seed_counts: Mapping[str, int] = field(default_factory=dict)

    def scaled(self, group: str) -> float:
        """Return the mean of a group in the unit of the column."""
        return self.means[group] / self.shown.unit

    def text(self, group: str) -> str:
        """Write a mean in a column whose head names the unit, or why there is none."""
        if why := self.missing[group]:
            return "-" if why == "none" else why
        return self.shown.form(self.scaled(group))

    def with_unit(self, group: str) -> str:
        """Write a mean as a sentence has it, or why there is none."""
        return self.missing[group] or self.figure.text(self.means[group])

    def interval(self, group: str) -> str:
        """Write the interval of a mean; empty where there is none."""
        ends = [end / self.shown.unit for end in self.ends.get(group, ()) if not math.isnan(end)]
        texts = [*map(self.shown.form, ends)]
        return " to ".join(texts) if len({*texts}) > 1 else ""

    def word(self, group: str) -> str:
        """Write the verdict on a group, and how many of its seeds have a figure that some lack."""
        verdict = self.verdicts[group]
        if verdict != Verdict.NOT_REACHED:
            return verdict
        why = self.missing[group]
        has = f"0 of {self.seed_counts[group]}" if why in ("never", "none") else why
        return f"{verdict} ({has.removeprefix('in ').partition(' seed')[0]})"

    @cached_property
    def starred(self) -> list[str]:
        """The groups that are best by a test, and those that print the same."""
        texts = {self.text(group) for group in self.leaders}
        return [group for group in self.means if self.text(group) in texts]

    def star(self, group: str) -> str:
        """Write a mean with the mark of the best, or with room for it."""
        if not self.starred:
            return self.text(group)
        return self.text(group) + ("*" if group in self.starred else " ")

    @property
    def known(self) -> list[str]:
        """The groups that have a mean."""
        return [group for group in self.means if not self.missing[group]]

    @cached_property
    def is_flat(self) -> bool:
        """Whether all groups that have the figure print the same."""
        return len({self.with_unit(group) for group in self.known}) < 2

    @property
    def has_best(self) -> bool:
        """Whether some mean is better than another one."""
        return bool(self.figure.best) and not self.is_flat

    def merit(self, group: str) -> float:
        """Return what is the greater the better; -inf without a mean, and of an expense of 0."""
        mean = self.means[group]
        if math.isnan(mean) or (self.figure.spent and self.figure.best and not mean):
            return -math.inf
        return mean if self.figure.rising or not self.figure.best else -mean

    def best(self, among: Collection[str] | None = None) -> list[str]:
        """Return the groups, or those of some, that print the same as the best mean."""
        return self._like(max, self.known if among is None else among)

    def last(self) -> list[str]:
        """Return the groups that print the same as the worst mean."""
        return self._like(min, self.known)

    def _like(self, end: Callable[..., str], among: Collection[str]) -> list[str]:
        ranked = [group for group in self.known if self.merit(group) > -math.inf]
        ranked = [group for group in ranked if group in among]
        if not ranked:
            return []
        text = self.with_unit(end(ranked, key=self.merit))
        return [group for group in ranked if self.with_unit(group) == text]
