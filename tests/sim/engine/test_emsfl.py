"""EMS-FL and its forms: Remark 3, a backbone that is trained, gates that get lost, ages,
what goes down, and what a run says of its experts."""

import re

import numpy as np
import pandas as pd
import pytest

import learning
import scenarios
import sim
from tests.kit.inner import learning as seam
from tests.kit.inner.sim import build
from tests.kit.small import fixed, orbit, slots
from tests.kit.small_nmoe import events


def learned(method="emsfl-enhanced", **more):
    model = {"experts": 4, "hidden": 16, "expert_hidden": 16, "top_k": 2}
    return {"method": method, "model": model, "gate_tuning_cycles": 1, "train": False, **more}


def aggregates(result, word):
    rows = events(result, "aggregate")
    return rows[rows.detail.str.startswith(word)]


def names(result, direction):
    return set(result.transfers[result.transfers.direction == direction].payload)


@pytest.mark.parametrize(
    ("method", "gates"), [("emsfl", [4] * 6), ("emsfl-enhanced", [0, 0, 0, 0, 4, 4])]
)
def test_remark_3_each_expert_once_and_the_gate_c_times_in_a_cycle(method, gates):
    """The enhanced form's gate rests until its tuning."""
    changes = {"stop.cycles": 6, "learning.method": method, "learning.train": False}
    result = sim.run(scenarios.load("paper-slots", changes))
    ends = result.metrics[result.metrics.scope == "global"].time_s.to_numpy()[1:]

    def in_each_cycle(word):
        cycles = np.searchsorted(ends, aggregates(result, word).time_s, side="left")
        return np.bincount(cycles, minlength=6).tolist()

    # In the first cycle the first cluster has not trained yet when its slot comes.
    assert in_each_cycle("experts") == [3, 4, 4, 4, 4, 4]
    for expert in range(4):
        assert in_each_cycle(f"experts:{expert} ")[1:] == [1] * 5
    assert in_each_cycle("gate") == gates


@pytest.mark.parametrize("days", [0.5, 1.0])
@pytest.mark.parametrize("tuning", [0, 1, 2])
def test_the_gate_is_tuned_in_the_last_cycles_alone_when_days_end_a_run(days, tuning):
    """Contacts behind the last complete cycle belong to the last cycles, if there are any."""
    how = learned(gate_tuning_cycles=tuning)
    result = sim.run(orbit(stop={"days": days}, link=fixed(), learning=how))
    ends = result.metrics[result.metrics.scope == "global"].groupby("cycle").time_s.min()
    assert (events(result, "connect").time_s > ends.max()).any()
    rows = result.transfers
    whole = rows[(rows.payload == "model") & (rows.direction == "downlink")]
    assert whole.empty == (tuning == 0)
    assert (whole.start_s >= ends.iloc[max(len(ends) - 1 - tuning, 0)]).all()
    assert aggregates(result, "gate").empty == (tuning == 0)


def test_a_backbone_is_trained_by_the_connected_cluster_under_the_mask_too():
    """Under the mask only own experts and what is shared come down."""
    scenario = slots(stop={"cycles": 4}, learning=learned(trains_backbone=True))
    whole = sim.run(scenario)
    assert len(aggregates(whole, "gate")) == 8
    own = {name for name in names(whole, "uplink") if name.startswith("experts")}
    assert names(whole, "downlink") == {*(f"{name} gate" for name in own), "model", "gate"}
    assert names(whole, "uplink") == {*own, "gate"}
    sizes = build(scenario).learner.architecture
    rows = whole.transfers
    down = rows[rows.payload.str.startswith("experts") & (rows.direction == "downlink")]
    assert set(down.payload_bytes) == {sizes.download_bytes([0, 2], gate=True)}
    assert set(rows[rows.payload == "gate"].payload_bytes) == {sizes.upload_bytes([], gate=True)}
    assert sizes.upload_bytes([], gate=True) > sizes.gate_parameters * 4


@pytest.mark.parametrize(
    ("uplink", "downlink", "why"),
    [
        (1e-5, 1.0, "contact ended before the second upload was through"),
        (1.0, 1e-5, "contact ended before the download was through"),
        # Uploads of many passes leave no time at all for what comes behind them.
        (5e-6, 1.0, "the upload of the experts took the whole contact"),
    ],
)
def test_a_lost_gate_says_what_it_was_lost_to(uplink, downlink, why):
    """The experts of the first upload are carried over and arrive, a gate is given up."""
    link = fixed(uplink=uplink, downlink=downlink)
    result = sim.run(orbit(stop={"days": 3}, link=link, learning=learned("emsfl")))
    assert (events(result, "fault").detail == f"gate lost: {why}").sum() > 5
    assert len(aggregates(result, "experts")) > 2
    rows = result.transfers
    gates = rows[(rows.payload == "gate") & (rows.direction == "uplink")]
    assert not (gates.outcome == "carried").any()


def test_ages_count_versions_and_rounds_since_the_download():
    """A cycle has three slots: a round in the contact and two in the gap behind it."""
    result = sim.run(slots(stop={"cycles": 6}, learning=learned("emsfl")))
    experts = aggregates(result, "experts").detail.str
    # Three versions: the own gate, the experts and the gate of the other. B begins with one round.
    assert experts.endswith("staleness:3 rounds:3").sum() == 10
    assert experts.endswith("rounds:1").sum() == len(aggregates(result, "experts")) - 10
    assert aggregates(result, "gate").detail.str.endswith("staleness:0 rounds:1").all()


@pytest.mark.parametrize("rank", [1, 16])
def test_devices_download_the_changes_that_they_miss_or_whole_experts(rank):
    """In slots every expert has changed once since a cluster's last contact."""
    lora = {"lora": {"rank": rank, "download": "factors"}}

    def models(method, cycles):
        scenario = slots(stop={"cycles": cycles}, learning=learned(method, **lora))
        rows = sim.run(scenario).transfers
        return rows[(rows.payload == "model") & (rows.device == 0)].sort_values("start_s")

    sizes = build(slots(learning=learned(**lora))).learner.architecture
    change = sizes.factor_bytes(1)
    expert = sizes.download_bytes([0], gate=False)
    assert (change < expert) == (rank == 1)
    change = min(change, expert)
    for _, mine in models("emsfl", 6).groupby("cluster"):
        assert (
            mine.payload_bytes.tail(5) == 4 * change + sizes.download_bytes([], gate=True)
        ).all()
    # The enhanced form turns to its gate: two experts are new, two have changed once.
    wanted = 2 * change + sizes.download_bytes([0, 1], gate=True)
    assert models("emsfl-enhanced", 4).payload_bytes.tolist() == [wanted] * 2


@learning.register("measured")
class Measured(seam.EmsFl):
    """EMS-FL with relevance (C, E) that a test has set."""

    def measure_relevance(self, name):
        yield from ()
        return np.array(Measured.relevance)


FOUR = {"clusters": [{"name": name, "devices": 1} for name in "ABCD"]}


def measured(relevance, **said):
    Measured.relevance = relevance
    return sim.run(slots(learning=learned("measured", **said)))


def away(result):
    return [check for check in result.checks if check.code == "experts-away"]


PREFERRED = 0.1 + 0.6 * np.eye(4)
"""Four clusters, each of which uses one expert at 0.7 and each other one at 0.1."""


def with_preference(seed, **options):
    said = {"model": {"experts": 4, "top_k": 1}, "train": True, "options": options}
    Measured.relevance = PREFERRED
    made = slots(seed=seed, ground=FOUR, stop={"cycles": 1}, learning=learned("measured", **said))
    return sim.run(made)


@pytest.mark.parametrize("seed", range(2))
def test_figures_and_a_check_name_the_draw_where_experts_are_not_at_home(seed):
    """Gate and data are as good as can be: the key to change brings all experts home."""
    result = with_preference(seed, threshold=0.05, resplit_cycles=0)
    _, _, owner = drawn(result)
    at_home = int((owner == np.arange(4)).sum())
    mass = pytest.approx(sum(PREFERRED[c, e] for e, c in enumerate(owner)) / 4)
    summary = result.summary
    assert summary["own_mass"] == {"start": mass, "end": mass}
    assert summary["home_mass"] == pytest.approx({"start": 0.7, "end": 0.7})
    assert summary["experts_home"] == {"start": at_home, "end": at_home, "of": 4}
    assert (at_home == 4) == (seed == 0)
    found = away(result)
    assert len(found) == (at_home < 4)
    for check in found:
        [threshold] = re.findall(r"learning\.options\.threshold=([\d.]+)", check.sentence)
        cured = with_preference(seed, threshold=float(threshold))
        assert cured.summary["experts_home"]["start"] == 4 and away(cured) == []


CLASSES = [[0.6, 0.3, 0.1, 0.0], [0.5, 0.05, 0.4, 0.05]]


SHARED_30 = {
    "data": {"own_domain_fraction": 0.7},
    "model": {"experts": 4},
    "pretraining": {"backbone_steps": 3, "expert_steps": 3, "gate_steps": 200},
}


def drawn(result, time_s=0.0):
    """Relevance and probability (C, E), and owners (E,), as a run has written them."""
    rows = result.assignments[result.assignments.time_s == time_s]
    tables = [
        rows.pivot(index="cluster", columns="expert", values=name).to_numpy()
        for name in ("relevance", "probability", "assigned")
    ]
    return *tables[:2], tables[2].argmax(axis=0)


@pytest.mark.parametrize("seed", range(2))
def test_with_30_percent_shared_every_expert_is_at_home(seed):
    """What the gate selects no more often than by chance is no reason to train an expert."""
    made = slots(seed=seed, stop={"cycles": 1}, ground=FOUR, learning=SHARED_30)
    relevance, probability, owner = drawn(sim.run(made))
    assert 0.6 < np.diag(relevance).mean() < 0.8
    assert (relevance > 0.1).sum(axis=0).max() > 1  # so that chance would decide at that
    assert owner.tolist() == [0, 1, 2, 3]
    assert probability.tolist() == np.eye(4).tolist()


def test_splitting_anew_costs_nothing_where_no_expert_changes_hands():
    """Nothing moves and nothing waits: only the relevance is measured again, and written down."""
    runs = [
        sim.run(slots(stop={"cycles": 6}, learning=learned(train=True, options=options, **SORTED)))
        for options in ({"resplit_cycles": 0}, {"resplit_cycles": 1}, {})
    ]
    [never, each, default] = runs
    for result in (each, default):
        for table in ("transfers", "metrics"):
            frames = (getattr(one, table) for one in (result, never))
            pd.testing.assert_frame_equal(*frames)
    assert [len(one.assignments.time_s.unique()) for one in runs] == [2, 7, 3]


SORTED = {"pretraining": {"backbone_steps": 3, "expert_steps": 3, "gate_steps": 60}}


def test_experts_have_classes_and_a_cluster_without_any_has_no_ratio():
    result = measured(CLASSES, train=True, options={"threshold": 0.1})
    assert result.summary["expert_classes"] == {"shared": [0, 2], "domain": [1], "seldom": [3]}
    clusters = [{"name": name, "devices": 1} for name in "ABC"]
    data = {"own_domain_fraction": 0.34}
    said = {"ground": {"clusters": clusters}, "learning": {"method": "emsfl", "data": data}}
    result = sim.run(slots(**said))
    assert list(result.summary["density_ratio"].values()).count(None) == 1
