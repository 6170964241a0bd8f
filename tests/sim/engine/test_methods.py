"""What all methods make of updates, and what is said of those that make nothing of them."""

import doctest
import itertools

import numpy as np
import pytest
from leomix.testing import check_method

import learning
import sim
from tests.kit.inner import learning as seam
from tests.kit.inner.learning import METHODS
from tests.kit.inner.sim import build
from tests.kit.small import fixed, orbit, slots
from tests.kit.small_nmoe import events

FEDAVG = {"method": "fedavg"}
LITTLE = {"memory_gib": 1e-9}
WITHOUT_B = {"name": "B", "kinds": [{"devices": 3, **LITTLE}]}


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
    told = events(run, "aggregate")
    assert len(used) > 5 and used.time_s.is_monotonic_increasing
    for one in told[told.version.isin(used["round"])].itertuples():
        mine = used[used["round"] == one.version]
        assert set(mine.time_s) == {one.time_s} and set(mine.version_server) == {one.version - 1}
        if name == "fedbuff":  # the mean of two, of which an old one counts less
            share = 1 / mine.groupby(["cluster", "contact_id"]).device.transform("size")
            assert mine.weight.to_numpy() == pytest.approx(share * (1 + mine.staleness) ** -0.5 / 2)
        elif set(mine.staleness) == {0} and name != "orbit-timing":  # where nobody is left out
            assert mine.weight.sum() == pytest.approx(0.6 if name == "fedasync" else 1)
    assert (used.staleness == used.version_server - used.version_base).all()
    told = [run.summary[key] for key in ("updates_used", "staleness_mean", "staleness_max")]
    assert told == [len(used), used.staleness.mean(), used.staleness.max()]
    moved = run.transfers
    up = moved[(moved.direction == "uplink") & (moved.outcome == "delivered")]
    found = used.merge(up, on=KEY)
    found = found[(found.end_s <= found.time_s) & (found.version == found.version_base)]
    assert len(found.drop_duplicates([*KEY, "round", "payload_x"])) == len(used)
    assert not used.duplicated([*KEY, "round", "payload"]).any()


def test_who_is_done_waits_for_the_others_and_a_round_of_nobody_never_ends():
    """South's upload takes several passes; North has nothing to do in the meantime."""
    near = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "devices": 1}
    far = {"name": "South", "latitude_deg": -5, "longitude_deg": 150, "devices": 3}
    timing = {**FEDAVG, "train": False}
    ground = {"clusters": [near, far]}
    result = sim.run(orbit(link=fixed(uplink=1e-5), ground=ground, learning=timing))
    waits = events(result, "wait")
    assert set(waits.cluster) == {"North"}
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
    factors = 4 * 2 * (64 + 256 if mode == "ffa" else 2 * (64 + 256))  # of rank 1, single precision
    shared = build(scenario).learner.architecture.upload_bytes([], gate=True)
    whole = 4 * 2 * (2 * 64 * 256 + 64 + 256)
    sizes = rows.groupby(["device", "direction"]).payload_bytes.unique()
    for device, rank in enumerate((1, 2, 2)):
        assert sizes[device, "uplink"] == [rank * factors + shared]
        missed = ((1 + 2 + 2) + 3 * 2 if mode == "stack" else 2 * rank) * factors
        down = whole if mode == "merge" else min(missed, whole)
        assert sizes[device, "downlink"] == [down + shared]


@pytest.mark.parametrize("method", ["synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff"])
def test_training_that_diverges_changes_nothing_at_the_server(method):
    wild = {"method": method, "step_size": 1e30, "steps_per_round": 4}
    result = sim.run(slots(stop={"cycles": 4}, learning=wild))
    refused = events(result, "drop").detail.str.contains("refused: not finite").sum()
    assert refused > 5
    rows = result.metrics[result.metrics.scope == "global"]
    assert len(rows) > 3 and np.isfinite(rows.loss.iloc[0])
    assert set(rows.loss) == {rows.loss.iloc[0]}
    [said] = [check.sentence for check in result.checks if check.code == "diverged"]
    assert str(refused) in said


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


@pytest.mark.wide
def test_check_method_says_what_does_not_hold():
    why = {f.name: f.why for f in check_method(Toy) if f.outcome == "failed"}
    assert "events of the two runs differ" in why["a run is repeated to the bit"]
    assert " rounds of SGD" in why["one client alone is central SGD"]
    assert "is that of the start" in why["training moves the server's model"]
    refused = why["uploads that are corrupted or not finite are survived"]
    assert "'NoneType'" in refused and "(test_methods.py:" in refused
    for wrong, said in (("nosuch", "'nosuch'"), ("nosuch:Toy", "nosuch:Toy"), (dict, "dict")):
        with pytest.raises(sim.InputError, match=said):
            check_method(wrong)


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


def test_the_toy_of_the_docstring_prints_what_it_says():
    [test] = doctest.DocTestFinder(recurse=False).find(learning.Method, "Method")
    assert doctest.DocTestRunner().run(test) == (0, len(test.examples))
