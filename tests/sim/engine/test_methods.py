"""FedAvg, FedBuff, and what all methods make of updates: against plain numpy, from device to model.

What a device's round alone makes of the model is taken from ClusterState.
"""

import contextlib
import doctest
import itertools
import re

import numpy as np
import pytest
from leomix.testing import check_method

import learning
import sim
from tests.kit import learning as seam
from tests.kit.learning import METHODS
from tests.kit.network import build
from tests.kit.small import fixed, orbit, slots
from tests.kit.small_nmoe import events

FEDAVG = {"method": "fedavg"}
LITTLE = {"memory_gib": 1e-9}
WITHOUT_B = {"name": "B", "kinds": [{"devices": 3, **LITTLE}]}


def fedbuff(**options):
    return {"method": "fedbuff", "options": options}


def weights(learner, handle):
    return {n: np.asarray(tensor) for n, tensor in learner.force(learner.final(handle)).items()}


def trained(learner, cluster):
    """A cluster that has trained a round of all from the start model, and offered it."""
    side = seam.ClusterState(learner, cluster)
    every = list(range(learner.architecture.experts))
    ones = np.ones(cluster.devices, int)
    side.load_initial(seam.ServerModel(learner.start()), every)
    side.train(seam.Work(ones, ones.astype(float), ones < 0), every, gate=True)
    side.offer(every, gate=True)
    return side


def drive(protocol):
    """Answer the measurements of a protocol that takes no time; return its notes."""
    notes = []
    reply = None
    with contextlib.suppress(StopIteration):
        while request := protocol.send(reply):
            reply = request.compute() if isinstance(request, seam.Measure) else None
            notes += [request] if isinstance(request, seam.Note | seam.Aggregated) else []
    return notes


def a_run(runs, name):
    if name.startswith("fed") and name != "fedavg":  # stale updates, over passes that cut them off
        options = {"buffer_size": 2} if name == "fedbuff" else {}
        learning = {"method": name, "options": options, "train": False}
        return sim.run(orbit(stop={"days": 3}, link=fixed(uplink=2e-4), learning=learning))
    return runs.result(name)


KEY = ["cluster", "device", "contact_id"]
USED = ("slots", "slots-enhanced", "slots-synchronous", "fedavg", "aligned", "nmoe", "orbit-timing")


@pytest.mark.parametrize("name", [*USED, "fedbuff", "fedasync", "fedopt"])
def test_updates_are_those_of_aggregations_and_of_delivered_uploads(runs, name):
    run = a_run(runs, name)
    used = run.updates
    moved = run.transfers
    told = events(run, "aggregate")
    assert len(used) > 5 and used.time_s.is_monotonic_increasing
    assert set(used["round"]) <= set(told.version)
    for one in told[told.version.isin(used["round"])].itertuples():
        mine = used[used["round"] == one.version]
        assert set(mine.time_s) == {one.time_s} and set(mine.version_server) == {one.version - 1}
        if (ends := re.search(r"staleness:(\d+)(?:-(\d+))?", one.detail)) is not None:
            low = ends[1]
            high = ends[2] or ends[1]
            assert (mine.staleness.min(), mine.staleness.max()) == (int(low), int(high))
        if count := re.search(r"devices:(\d+)", one.detail):
            assert len(mine) == int(count[1])
        assert 0 < mine.weight.sum() <= 1 + 1e-12
        if set(mine.staleness) == {0} and name != "orbit-timing":  # where passes leave nobody out
            assert mine.weight.sum() == pytest.approx(0.6 if name == "fedasync" else 1)
    assert (used.staleness == used.version_server - used.version_base).all()
    told = [run.summary[key] for key in ("updates_used", "staleness_mean", "staleness_max")]
    assert told == [len(used), used.staleness.mean(), used.staleness.max()]
    up = moved[(moved.direction == "uplink") & (moved.outcome == "delivered")]
    found = used.merge(up, on=KEY)
    found = found[(found.end_s <= found.time_s) & (found.version == found.version_base)]
    assert len(found.drop_duplicates([*KEY, "round", "payload_x"])) == len(used)
    assert not used.duplicated([*KEY, "round", "payload"]).any()
    trains = run.manifest["scenario"]["learning"]["train"]
    counts = used.groupby(["cluster", "device"]).samples.nunique(dropna=False)
    assert used.samples.notna().all() == trains and (counts == 1).all()


def test_a_buffer_adds_the_mean_of_its_updates_over_the_root_of_their_age():
    """By hand: device 1 of cluster B has trained from a model that is five versions old."""
    said = fedbuff(buffer_size=2, server_step_size=0.5)
    method = build(slots(learning={**said, "step_size": 0.3})).new_method()
    learner = method.learner
    clusters = method.world.clusters
    method.version = 5
    sides = [trained(learner, cluster) for cluster in clusters]
    sides[0].offered_version = np.full(clusters[0].devices, 5)
    sides[1].offered_version = np.array([5, 0, 5])
    start = learner.start()
    late = np.array([False, True, False])
    parts = (sides[0], np.ones(2, bool)), (sides[1], ~late), (sides[1], late)
    merged = [seam.merging.merge(learner, start, side.update(who))[0] for side, who in parts]
    first, fresh, stale = (weights(learner, server) for server in merged)
    for cluster, side in zip(clusters, sides, strict=True):
        all_of_it = np.ones(cluster.devices)
        done = side.deliver(seam.Receipt(all_of_it > 0, all_of_it, all_of_it, 0 * all_of_it))
        notes = drive(method.collect(side.update(done)))
    told = [note.text() for note in notes if isinstance(note, seam.Aggregated)]
    assert told == ["experts:0,1 gate devices:5 updates:2 staleness:0-5"]
    assert method.version == 6
    before = weights(learner, start)
    after = weights(learner, method.weights)
    for name, tensor in after.items():
        w = before[name]
        change = (first[name] - w) + (fresh[name] - w) + (stale[name] - w) / np.sqrt(6.0)
        np.testing.assert_allclose(tensor, w + 0.5 * change / 2, atol=1e-6)
    assert max(float(np.abs(after[name] - before[name]).max()) for name in after) > 1e-3


def test_who_is_done_waits_for_the_others_and_a_round_of_nobody_never_ends():
    """South's upload takes several passes; North has nothing to do in the meantime."""
    near = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "devices": 1}
    far = {"name": "South", "latitude_deg": -5, "longitude_deg": 150, "devices": 3}
    timing = {**FEDAVG, "train": False}
    ground = {"clusters": [near, far]}
    result = sim.run(orbit(link=fixed(uplink=1e-5), ground=ground, learning=timing))
    waits = events(result, "wait")
    assert set(waits.cluster) == {"North"}
    assert waits.detail.str.fullmatch(r"round:\d+ waits for South").all()
    assert not waits.contact_id.isin(result.transfers.contact_id.dropna()).any()
    nobody = {"clusters": [{"name": "A", "kinds": [{"devices": 2, **LITTLE}]}, WITHOUT_B]}
    assert events(sim.run(slots(ground=nobody, learning=timing)), "aggregate").empty


def test_only_methods_are_registered_and_under_names_of_their_own():
    with pytest.raises(ValueError, match="shipped"):
        learning.register("emsfl")
    with pytest.raises(TypeError, match="subclass"):
        learning.register("number")(int)


@pytest.mark.parametrize("mode", ["merge", "average", "ffa", "stack", "svd"])
def test_each_mode_of_lora_takes_its_bytes_up_and_down_by_the_ranks_of_devices(mode):
    """Of one matrix (256, 64) and its transpose, in two layers; two clusters, so two updates."""
    kinds = [{"devices": 1, "lora_rank": 1}, {"devices": 2}]
    lora = {"rank": 2, "aggregate": mode, **({"download": "factors"} if mode == "average" else {})}
    model = {"experts": 1, "hidden": 64, "expert_hidden": 256, "top_k": 1, "layers": 2}
    clusters = {"clusters": [{"name": "A", "kinds": kinds}, {"name": "B", "devices": 3}]}
    said = {**FEDAVG, "lora": lora, "train": False, "model": model, "gate_step_size_ratio": 0.1}
    scenario = slots(ground=clusters, stop={"cycles": 6}, learning=said)
    rows = sim.run(scenario).transfers
    rows = rows[(rows.cluster == "A") & ((rows.version > 1) | (rows.direction == "uplink"))]
    sizes = build(scenario).learner.architecture
    factors = 4 * 2 * (64 + 256 if mode == "ffa" else 2 * (64 + 256))  # of rank 1, single precision
    stacked = {"stack": (1 + 2 + 2) + 3 * 2}
    shared = sizes.upload_bytes([], gate=True)
    whole = 4 * 2 * (2 * 64 * 256 + 64 + 256)
    for device, rank in enumerate((1, 2, 2)):
        mine = rows[rows.device == device]
        up, down = (
            set(mine[mine.direction == way].payload_bytes) for way in ("uplink", "downlink")
        )
        assert up == {rank * factors + shared}
        missed = stacked.get(mode, 2 * rank) * factors
        assert down == {(whole if mode == "merge" else min(missed, whole)) + shared}


def test_a_buffer_is_half_the_clusters_and_never_one():
    for clusters, size in ((1, 2), (2, 2), (4, 2), (5, 3), (9, 5)):
        places = {"clusters": [{"name": f"c{n}", "devices": 1} for n in range(clusters)]}
        built = build(slots(ground=places, learning={**fedbuff(), "train": False}))
        assert built.new_method().buffer_size == size


@pytest.mark.parametrize("method", ["synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff"])
def test_training_that_diverges_changes_nothing_at_the_server(method):
    wild = {"method": method, "step_size": 1e30, "steps_per_round": 4}
    result = sim.run(slots(stop={"cycles": 4}, learning=wild))
    refused = result.events[result.events.detail.fillna("").str.contains("refused: not finite")]
    assert len(refused) > 5
    assert set(refused.kind) == {"drop"}
    rows = result.metrics[result.metrics.scope == "global"]
    assert len(rows) > 3
    assert set(rows.loss) == {rows.loss.iloc[0]}
    assert np.isfinite(rows.loss.iloc[0])
    [said] = [check.sentence for check in result.checks if check.code == "diverged"]
    assert f"{len(refused)} updates were not finite" in said


@pytest.mark.wide
@pytest.mark.parametrize("name", METHODS.shipped)
def test_shipped_methods_keep_what_check_method_tries(name):
    """Bytes conserved, resumed equal, any order of clusters, alone as SGD, the same times."""
    found = check_method(name)
    assert len(found) == 12
    assert not [str(finding) for finding in found if finding.outcome == "failed"]
    skipped = {finding.name for finding in found if finding.outcome == "skipped"}
    assert ("one client alone is central SGD" in skipped) != (
        name in ("synchronous", "fedavg", "scaffold", "select")
    )
    assert len(skipped) == 1 or not METHODS.find(name).needs.satellites


class Toy(seam.Synchronous):
    """No two runs are alike, and what was learnt is thrown away: no SGD, as it claims."""

    alone_is_sgd = True
    runs = itertools.count()

    def collect(self, update):
        yield seam.Note("wait", self.version, f"run {next(self.runs)}")
        assert update.who is not None
        yield from super().collect(update)
        self.weights = self.learner.start()


def test_check_method_says_what_does_not_hold():
    found = {finding.name: finding for finding in check_method(Toy)}
    why = {name: finding.why for name, finding in found.items() if finding.outcome == "failed"}
    assert "events of the two runs differ" in why["a run is repeated to the bit"]
    assert " rounds of SGD" in why["one client alone is central SGD"]
    assert "is that of the start" in why["training moves the server's model"]
    refused = why["uploads that are corrupted or not finite are survived"]
    assert "'NoneType'" in refused and "(test_methods.py:" in refused
    assert str(found["bytes, clocks and versions are conserved"]).startswith("ok       bytes")
    for wrong, said in (("nosuch", "'nosuch'"), ("nosuch:Toy", "nosuch:Toy"), (dict, "dict")):
        with pytest.raises(sim.InputError, match=said):
            check_method(wrong)


def test_the_toy_of_the_docstring_prints_what_it_says():
    [test] = doctest.DocTestFinder(recurse=False).find(learning.Method, "Method")
    assert doctest.DocTestRunner().run(test) == (0, len(test.examples))


def test_a_model_that_finite_updates_have_ruined_is_told_of():
    """One step of 1e30 is finite, and takes the model where no loss is."""
    result = sim.run(slots(learning={"method": "synchronous", "step_size": 1e30}))
    rows = result.metrics[(result.metrics.scope == "global") & ~np.isfinite(result.metrics.loss)]
    [said] = [check.sentence for check in result.checks if check.code == "diverged"]
    assert said.endswith(f"from cycle {rows.cycle.iloc[0]} on")


@pytest.mark.parametrize(
    ("attribute", "instead"),
    [
        ("needs_experts", r"needs = Needs\(experts=\.\.\.\)"),
        ("payload_copies", r"traits = Traits\(payload_copies=\.\.\.\)"),
    ],
)
def test_a_need_or_trait_of_a_class_of_its_own_is_refused_with_what_to_write(attribute, instead):
    with pytest.raises(ValueError, match=rf"^class Old: {attribute} means nothing; .*{instead}"):
        type("Old", (seam.Synchronous,), {attribute: 1})


COST = seam.Cost(1e6)


class Hasty(learning.FedAvg):
    """Does what a script says, and is missed where it sends no update."""

    script = ()

    def cluster(self, me):
        for request in type(self).script:
            _ = yield request


learning.register("hasty")(Hasty)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ((), "none was asked for"),
        ((seam.EndRun("x"),), "hasty ended the run (x)"),
        ((seam.NextContact(), seam.Train(COST)), "no upload began"),
        ((seam.Wait(1e9),), "none was asked for"),
    ],
)
def test_a_method_that_ends_before_it_trains_or_sends_is_told_so(monkeypatch, script, why):
    monkeypatch.setattr(Hasty, "script", script)
    result = sim.run(slots(learning={"method": "hasty", "train": False}))
    [check] = result.checks
    assert check.code == "no-update" and check.sentence.endswith(f": {why}")
