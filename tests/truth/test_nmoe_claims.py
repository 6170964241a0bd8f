"""What networked experts and aligned experts learn: the published bands, and the shipped scenarios.

Ten clients behind random features; the bands are those of a second implementation in scikit-learn.
"""

import pytest

import scenarios
import sim
from tests.kit.small_nmoe import TEN, nmoe, options

SLOW = pytest.mark.slow(reason="trains ten clients for tens of rounds")


def ten(data, **said):
    """The last measurement of the toy of the notes."""
    learning = {"data": data, **options(**said)}
    return last(sim.run(nmoe(TEN, learning=learning)))


def last(result):
    return result.metrics[result.metrics.scope == "global"].iloc[-1]


def one_in_ten(row):
    """On a common test set all clients route alike: exactly 1/N, whatever the gate has learnt."""
    found = [row.local_ratio, row.local_count_share, row.local_weight_share]
    assert found == pytest.approx([0.1] * 3, abs=1e-12)


CLAIMS = [
    # gate, its rounds, of clients with two classes each: least and most; other options
    ("fedgate", 100, 0.85, 1.0, {}),
    ("fedgate", 100, 0.85, 1.0, {"extractor": "fedce", "extractor_rounds": 30}),
    ("rollgate", 20, 0.75, 1.0, {}), ("rollgate", 1, 0.0, 0.25, {}),
    ("rangate", 20, 0.0, 0.15, {}), ("random", 0, 0.15, 0.30, {}), ("central", 20, 0.90, 1.0, {}),
]  # fmt: skip
QUICK = [("fedgate", 20, 0.75, 1.0, {}), ("local", 0, 0.0, 0.12, {})]


@pytest.mark.parametrize(
    ("gate", "rounds", "least", "most", "more"),
    [*QUICK, *(pytest.param(*claim, marks=SLOW) for claim in CLAIMS)],
)
def test_two_classes_a_client(gate, rounds, least, most, more):
    """One expert of two classes each: only a federated gate finds them all."""
    row = ten({}, gate=gate, gate_rounds=rounds, **more)
    assert least <= row.f1 <= most
    if gate in ("fedgate", "rollgate", "rangate"):
        one_in_ten(row)


@SLOW
@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate", "random", "local", "central"])
def test_of_iid_clients_every_way_does_well(gate):
    row = ten({"split": None}, gate=gate)
    assert row.f1 >= (0.9 if gate == "central" else 0.8)
    if "gate" in gate:
        one_in_ten(row)


@SLOW
def test_the_shipped_scenarios_do_what_they_claim():
    fedgate = last(sim.run(scenarios.load("nmoe-digits")))
    assert fedgate.f1 >= 0.85
    one_in_ten(fedgate)
    alone = {"learning.options.gate": "local"}
    assert last(sim.run(scenarios.load("nmoe-digits", alone))).f1 < 0.12
    metrics = sim.run(scenarios.load("aligned-digits")).metrics
    accuracy = metrics[metrics.scope == "global"].accuracy
    assert accuracy.iloc[0] < 0.2 and accuracy.iloc[-1] > 0.7
