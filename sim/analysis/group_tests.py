"""What a comparison of groups tests: differences from one group, and who is best by what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sim.analysis.lead import Figures
from sim.analysis.measure import Measure
from sim.analysis.over_seeds import pair_of
from sim.analysis.pair_tests import PairTests, pair_tests
from sim.analysis.rows import Answer, Standing, answer_of

ACCURACY = "accuracy_final"
TO_DEADLINE = "accuracy_mean_to_deadline"
LOSS = "loss_final"
HOURS = "hours_to_common"
"""What a test of the hours to the shared target is called."""


@dataclass(frozen=True)
class Measured:
    """A figure of all groups: by label and by setting and seed, inf where it was never reached.

    ``lacking`` says why a group has none, where it is not that it never got there.
    """

    measure: Measure
    groups: Mapping[str, Figures]
    lacking: Mapping[str, Standing]

    def asked_as(self, measure: Measure | None, *, drawn: bool) -> Measured:
        """Return it by a measure, by default its own, that may depend on the seed or does not."""
        return replace(self, measure=replace(measure or self.measure, drawn=drawn))


@dataclass(frozen=True)
class GroupTests:
    """The figures of a comparison, and the tests of every two groups by those that are tested.

    ``tested`` has the columns of these, each with the name that its tests have.
    """

    measured: Sequence[Measured]
    tested: Mapping[str, str]
    tests: PairTests

    @classmethod
    def of(cls, measured: Sequence[Measured], tested: Mapping[str, str]) -> GroupTests:
        """Test groups by the figures whose columns are ``tested``."""
        asked = {
            tested[one.measure.column]: one.measure.asked(one.groups)
            for one in measured
            if one.measure.column in tested
        }
        return cls(measured, tested, pair_tests(asked))

    def against(self, reference: str) -> list[dict[str, Any]]:
        """Compare each group with the reference on the seeds of both, by each tested figure."""
        tested = [one for one in self.measured if one.measure.column in self.tested]
        labels = dict.fromkeys(label for one in tested for label in one.groups)
        return [
            {
                "group": label,
                "against": reference,
                "figure": self.tested[one.measure.column],
                **self._pair(one, label, reference),
            }
            for label in labels
            if label != reference
            for one in tested
        ]

    def _pair(self, one: Measured, label: str, reference: str) -> dict[str, Any]:
        # The difference is what a group has more than the reference, be that better or worse.
        signed = replace(one.measure.asked(one.groups), rising=True)
        name = self.tested[one.measure.column]
        return pair_of(signed, label, reference, self.tests.of(name, label, reference))

    def answers(self) -> Iterator[Answer]:
        """Yield the rows of each figure."""
        for one in self.measured:
            name = self.tested.get(one.measure.column, "")
            yield answer_of(one.measure, one.groups, self.tests, name=name, lacking=one.lacking)
