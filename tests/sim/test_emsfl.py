"""EMS-FL and its forms: Remark 3, masks, a backbone that is trained, gates that get lost, ages,
what goes down, and what a run says of its experts."""

import numpy as np
import pytest

import learning
import scenarios
import sim
from tests.kit import learning as seam
from tests.kit.network import build
from tests.kit.results import summary_text
from tests.kit.small import fixed, orbit, slots
from tests.kit.spy import around


def learned(method="emsfl-enhanced", **more):
    model = {"experts": 4, "hidden": 16, "expert_hidden": 16, "top_k": 2}
    said = {"method": method, "model": model, "gate_tuning_cycles": 1, "train": False}
    return said | more


def aggregates(result, word):
    events = result.events
    return events[(events.kind == "aggregate") & events.detail.str.startswith(word)]


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
        times_s = aggregates(result, word).time_s
        return np.bincount(np.searchsorted(ends, times_s, side="left"), minlength=6).tolist()

    # In the first cycle the first cluster has not trained yet when its slot comes.
    assert in_each_cycle("experts") == [3, 4, 4, 4, 4, 4]
    for expert in range(4):
        assert in_each_cycle(f"experts:{expert} ")[1:] == [1] * 5
    assert in_each_cycle("gate") == gates


def test_the_literal_mask_trains_another_model_in_the_same_time():
    said = [learned(train=True, step_size=0.3, options={"mask": mask}) for mask in ("-inf", "zero")]
    minus_inf, zero = (sim.run(slots(learning=one)) for one in said)
    assert zero.transfers.equals(minus_inf.transfers)
    assert np.isfinite(zero.metrics.loss).all()
    assert not zero.metrics.loss.equals(minus_inf.metrics.loss)


def test_a_mask_that_is_none_of_the_two_is_refused_where_it_stands():
    with pytest.raises(sim.InputError, match=r"options\.mask: 'one' should be -inf or zero"):
        sim.run(slots(learning=learned(options={"mask": "one"})))
    with pytest.raises(sim.InputError, match="options are: threshold, resplit_cycles"):
        sim.run(slots(learning=learned("emsfl", options={"mask": "zero"})))


@pytest.mark.parametrize("train", [True, False])
def test_a_backbone_is_trained_by_the_connected_cluster_under_the_mask_too(train):
    """Under the mask only own experts and what is shared come down."""
    plain, scenario = (
        slots(stop={"cycles": 4}, learning=learned(trains_backbone=backbone, train=train))
        for backbone in (False, True)
    )
    plain, whole = sim.run(plain), sim.run(scenario)
    # The last cycle of four tunes the gate; here two clusters are connected in each.
    assert (len(aggregates(plain, "gate")), len(aggregates(whole, "gate"))) == (2, 8)
    assert len(aggregates(plain, "experts")) == len(aggregates(whole, "experts"))
    own = {name for name in names(plain, "uplink") if name.startswith("experts")}
    assert len(own) == 2
    assert names(plain, "downlink") == {*own, "model", "gate"}
    assert names(whole, "downlink") == {*(f"{name} gate" for name in own), "model", "gate"}
    assert names(whole, "uplink") == {*own, "gate"}
    if train:
        assert np.isfinite(whole.metrics.loss).all()
        return
    sizes, rows = build(scenario).learner.architecture, whole.transfers
    down = rows[rows.payload.str.startswith("experts") & (rows.direction == "downlink")]
    assert set(down.payload_bytes) == {sizes.download_bytes([0, 2], True)}
    assert set(rows[rows.payload == "gate"].payload_bytes) == {sizes.upload_bytes([], True)}
    assert sizes.upload_bytes([], True) > sizes.gate_parameters * 4


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
    lost, rows = result.events[result.events.kind == "fault"], result.transfers
    mine = lost[lost.detail == f"gate lost: {why}"]
    assert len(mine) > 5
    assert any(f"gate lost: {why}" in warning for warning in result.summary["warnings"])
    assert len(aggregates(result, "experts")) > 2
    gates = rows[(rows.payload == "gate") & (rows.direction == "uplink")]
    assert not (gates.outcome == "carried").any()
    assert not lost.detail.str.contains("no contact").any()
    if "whole contact" in why:
        assert not mine.contact_id.isin(rows[rows.payload == "model"].contact_id).any()


def test_what_a_lost_gate_had_learnt_is_gone_with_it():
    """It would be out of date: the next gate is what the contact trains from the server's."""
    unsent = []

    def look(side, *_):
        gate = side.learner.values.force(side.learner.offer(side.state, [], gate=True))
        unsent.append(max(float(tensor.abs().max()) for tensor in gate.values()))
        return lambda _: None

    said = learned("emsfl", train=True)
    with around(download=look):
        result = sim.run(slots(stop={"cycles": 4}, link=fixed(uplink=3e-6), learning=said))
    assert result.events.detail.fillna("").str.startswith("gate lost").sum() > 2
    assert len(unsent) > 4
    assert not any(unsent)


def test_ages_count_versions_and_rounds_since_the_download():
    """A cycle has three slots: a round in the contact and two in the gap behind it."""
    result = sim.run(slots(stop={"cycles": 6}, learning=learned("emsfl")))
    experts = aggregates(result, "experts").detail.str
    # Three versions: the own gate, the experts and the gate of the other. B begins with one round.
    assert experts.endswith("staleness:3 rounds:3").sum() == 10
    assert experts.endswith("rounds:1").sum() == len(aggregates(result, "experts")) - 10
    assert aggregates(result, "gate").detail.str.endswith("staleness:0 rounds:1").all()


@pytest.mark.parametrize(("upload_format", "smaller"), [("native", 1), ("float16", 2), ("int8", 4)])
def test_only_uploads_are_rounded(upload_format, smaller):
    """A payload is the sum of its tensors; what comes down has native numbers, and their bytes."""
    scenario = slots(learning=learned("emsfl", upload_format=upload_format))
    learner = build(scenario).learner
    payload = seam.upload_payload(learner, "some", [0, 2], True, 3)
    assert payload.bytes == sum(tensor.bytes for tensor in payload.tensors) > 0
    sizes, rows = learner.architecture, sim.run(scenario).transfers
    gates = rows[rows.payload == "gate"].groupby("direction").payload_bytes.unique()
    assert gates["downlink"].tolist() == [sizes.gate_parameters * 4.0]
    assert gates["uplink"].tolist() == [sizes.upload_bytes([], True)]
    assert gates["uplink"][0] <= gates["downlink"][0] / smaller + 4 * sizes.layers


@pytest.mark.parametrize("rank", [1, 16])
def test_devices_download_the_changes_that_they_miss_or_whole_experts(rank):
    """In slots every expert has changed once since a cluster's last contact."""
    lora = {"rank": rank, "download": "factors"}
    scenario = slots(stop={"cycles": 6}, learning=learned("emsfl", lora=lora))
    sizes = build(scenario).learner.architecture
    change, expert = sizes.factor_bytes(1), sizes.download_bytes([0], False)
    assert (change < expert) == (rank == 1)
    rows, gate = sim.run(scenario).transfers, sizes.download_bytes([], True)
    models = rows[(rows.payload == "model") & (rows.device == 0)].sort_values("start_s")
    for _, mine in models.groupby("cluster"):
        assert (mine.payload_bytes.tail(5) == 4 * min(change, expert) + gate).all()
    full = sim.run(slots(stop={"cycles": 6}, learning=learned("emsfl"))).transfers
    sent = full[full.payload == "model"].payload_bytes
    assert set(sent) == {sizes.download_bytes([0, 1, 2, 3], True)}


def test_whoever_has_never_held_an_expert_needs_all_of_it():
    """The enhanced form turns to its gate: two experts are new, two have changed once."""
    lora = {"rank": 1, "download": "factors"}
    scenario = slots(stop={"cycles": 4}, learning=learned(lora=lora))
    sizes, rows = build(scenario).learner.architecture, sim.run(scenario).transfers
    models = rows[(rows.payload == "model") & (rows.device == 0)]
    expected = 2 * sizes.factor_bytes(1) + sizes.download_bytes([0, 1], True)
    assert models.payload_bytes.tolist() == [expected] * 2
    own = rows[rows.payload.str.startswith("experts") & (rows.direction == "downlink")]
    assert own.payload_bytes.max() == 2 * sizes.factor_bytes(1)


@learning.register("measured")
class Measured(seam.EmsFl):
    """EMS-FL with relevance (C, E) that a test has set."""

    def measure_relevance(self, name):
        yield from ()
        return np.array(Measured.relevance)


def measured(relevance, **said):
    Measured.relevance = relevance
    return sim.run(slots(learning=learned("measured", **said)))


def test_the_class_of_an_expert_is_that_of_its_relevance(runs):
    table = measured([[0.6, 0.3, 0.1, 0.0], [0.5, 0.05, 0.4, 0.05]]).assignments
    for _, rows in table.groupby(["time_s", "cluster"]):
        classes = rows.sort_values("expert").expert_class.tolist()
        assert classes == ["shared", "domain", "shared", "seldom"]
    result = runs.result("slots")
    said = result.summary["expert_classes"]
    for time_s, rows in result.assignments.groupby("time_s"):
        wide = rows.pivot(index="cluster", columns="expert", values="relevance").to_numpy()
        named = rows[rows.cluster == "A"].sort_values("expert").expert_class.tolist()
        assert named == seam.expert_classes(wide, 0.1)
        if time_s == 0:
            listed = {key: [e for e, name in enumerate(named) if name == key] for key in said}
            assert said == listed.fromkeys(("shared", "domain", "seldom")) | listed
    assert f"{len(said['domain'])} domain" in summary_text(result.summary)
    baseline = runs.result("slots-synchronous").summary
    assert baseline["expert_classes"] is baseline["density_ratio"] is None
    assert runs.result("slots-timing").summary["density_ratio"] is None


def said(result):
    """Whether a run warns of low own mass, and of uniform data."""
    text = result.summary["warnings"]
    return any("own gate mass" in w for w in text), any("hardly denser" in w for w in text)


THIN = [[0.35, 0.35, 0.15, 0.15], [0.15, 0.15, 0.35, 0.35]]


@pytest.mark.parametrize(
    ("relevance", "options", "warned"),
    [
        ([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]], {}, (False, False)),
        # Denser at home by 1.4 of at most 2, but much of the data is elsewhere.
        (THIN, {"threshold": 0.2}, (True, False)),
        ([[0.25] * 4] * 2, {}, (True, True)),
    ],
)
def test_density_and_mass_are_told_of_apart(relevance, options, warned):
    result = measured(relevance, options=options, train=True)
    assert said(result) == warned
    rows = result.assignments[(result.assignments.time_s == 0) & result.assignments.assigned]
    owner = rows.sort_values("expert").cluster.map({"A": 0, "B": 1}).tolist()
    ratio = dict(zip("AB", seam.density_ratio(np.array(relevance), owner), strict=True))
    assert result.summary["density_ratio"] == pytest.approx(ratio)
    line = "A 1.00, B 1.00 (1 is uniform, 2 all at home)"
    assert any(line in w for w in result.summary["warnings"]) == warned[1]


def test_a_cluster_without_experts_is_named_without_a_ratio():
    clusters = [{"name": name, "devices": 1} for name in "ABC"]
    data = {"data": {"own_domain_fraction": 0.34}}
    result = sim.run(slots(ground={"clusters": clusters}, learning={"method": "emsfl", **data}))
    [silent] = [name for name, ratio in result.summary["density_ratio"].items() if ratio is None]
    [line] = [w for w in result.summary["warnings"] if "hardly denser" in w]
    assert f"{silent} -" in line
    for method in ("synchronous", "fedavg", "fedbuff"):  # the conditions are not theirs
        mixed = {"method": method, "data": {"own_domain_fraction": 0.5}}
        assert said(sim.run(slots(learning=mixed))) == (False, False)
