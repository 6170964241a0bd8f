"""What a comparison of groups tests: differences from one group, and who is best by what."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from sim.analysis.figures import FIGURES, TO_TARGETS, figure_listed
from sim.analysis.lead import Asked
from sim.analysis.over_seeds import pair_of
from sim.analysis.pair_tests import PairTests, pair_tests
from sim.analysis.verdict import Ranking, ranking_of
from sim.analysis.verdict_text import ranking_json, sentence
from sim.formatting import listed

ACCURACY = "accuracy_final"
TO_DEADLINE = "accuracy_mean_to_deadline"
LOSS = "loss_final"
HOURS = "hours_to_common"
"""What a test of the hours to the highest common target is called."""

RISING = {ACCURACY: True, TO_DEADLINE: True, LOSS: False, HOURS: False}
"""Figures that are tested, and whether more of them is better."""
RANKED = (ACCURACY, TO_DEADLINE, HOURS)
"""Figures of which a comparison says who is best."""

BySeed = Mapping[str, Mapping[int, float]]
"""What was measured by label of a group and by seed; inf where it was not, or was never reached."""


class GroupTests(NamedTuple):
    """The figures by which groups are compared, and the tests of every two groups by them."""

    asked: Mapping[str, Asked]
    tests: PairTests

    @classmethod
    def of(cls, measured: Mapping[str, BySeed]) -> "GroupTests":
        """Test groups by some of the figures of ``RISING``."""
        asked = {figure: _asked(figure, groups) for figure, groups in measured.items()}
        return cls(asked, pair_tests(asked))

    def against(self, reference: str) -> list[dict[str, Any]]:
        """Compare each group with the reference on the seeds of both, by each figure."""
        labels = dict.fromkeys(label for one in self.asked.values() for label in one.candidates)
        # The difference is what a group has more than the reference, be that better or worse.
        signed = {figure: replace(one, rising=True) for figure, one in self.asked.items()}
        return [
            {
                "group": label,
                "against": reference,
                "figure": figure,
                **pair_of(one, label, reference, self.tests.of(figure, label, reference)),
            }
            for label in labels
            if label != reference
            for figure, one in signed.items()
        ]

    def verdicts(self, common: str | None, more_seeds: str) -> Iterator[dict[str, Any]]:
        """Say who is best by each figure that some group has, on the seeds that two have.

        ``common`` is the target of the hours; ``more_seeds`` says what to do where there is one
        seed only.
        """
        for figure in RANKED:
            one = self.asked.get(figure)
            if one is None or len(one.candidates) < 2 or not _known(one):
                continue
            found = ranking_of(one, figure, self.tests)
            head = f"time to {common}" if figure == HOURS else FIGURES[figure].head
            said = {"figure": figure, "head": head}
            yield {**said, **ranking_json(found), "text": _words(found, figure, more_seeds)}


def _asked(figure: str, groups: BySeed) -> Asked:
    kind = TO_TARGETS["hours_to"] if figure == HOURS else figure_listed(figure)
    if kind is None:
        raise KeyError(figure)
    cases = {label: {("", seed): x for seed, x in own.items()} for label, own in groups.items()}
    return Asked(cases, RISING[figure], kind.bounds, kind.ratios)


def _known(asked: Asked) -> bool:
    return any(math.isfinite(x) for own in asked.candidates.values() for x in own.values())


def _words(ranking: Ranking, figure: str, more_seeds: str) -> str:
    """Say who is best by a figure; times in days, as the tables have them."""
    form = (lambda hours: f"{hours / 24:.2f} days") if figure == HOURS else FIGURES[figure].form
    text = sentence(ranking, form, more_seeds=more_seeds)
    if not ranking.without:
        return text
    lacks = "did not get there" if figure == HOURS else "does not have it"
    lacking = f"{listed(ranking.without)} {lacks} with every seed"
    return "; ".join(part for part in (text, lacking) if part)
