"""What becomes of a transfer, by the table of all that decides about it."""

from itertools import product

import numpy as np
import pytest

from tests.kit.network import Outcome, outcomes_of

DECIDING = ("whole", "corrupted", "run_over", "carry", "begun", "rule")
TABLE = {
    "yes no  *   *   *   *": Outcome.DELIVERED,
    "yes yes *   *   *   *": Outcome.CORRUPTED,
    "no  *   yes *   *   *": Outcome.CARRIED,  # the run ends, no pass has cut it off
    "no  *   no  no  *   *": Outcome.DROPPED,  # a pass has, and its sender carries nothing over
    "no  *   no  yes no  *": Outcome.CARRIED,  # of what has not begun nothing is lost
    "no  *   no  yes yes resume": Outcome.CARRIED,
    "no  *   no  yes yes restart": Outcome.RESTARTED,
    "no  *   no  yes yes drop": Outcome.DROPPED,
}
"""Outcomes by what decides about them, in the order of ``DECIDING``; ``*`` is whatever it is."""


def tabled(case):
    deciding = [case[name] for name in DECIDING]
    rows = [
        outcome
        for words, outcome in TABLE.items()
        if all(word in ("*", value) for word, value in zip(words.split(), deciding, strict=True))
    ]
    assert len(rows) == 1, case
    return rows[0]


@pytest.mark.parametrize("run_over", ["yes", "no"])
@pytest.mark.parametrize("carry", ["yes", "no"])
@pytest.mark.parametrize("rule", ["resume", "restart", "drop"])
def test_outcomes_follow_from_what_decides_about_them(rule, carry, run_over):
    """Of eight devices, one for each case that may differ from device to device."""
    devices = list(product(["yes", "no"], repeat=3))
    whole, corrupted, begun = np.array(devices).T == "yes"
    found = outcomes_of(
        whole=whole,
        begun=begun,
        corrupted=corrupted,
        cut_transfers=rule,
        carry=carry == "yes",
        run_over=run_over == "yes",
    )
    shared = {"rule": rule, "carry": carry, "run_over": run_over}
    for device, outcome in zip(devices, found, strict=True):
        own = dict(zip(("whole", "corrupted", "begun"), device, strict=True))
        assert outcome == tabled(shared | own)
