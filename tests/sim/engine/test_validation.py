"""Runs with a validation split: what is measured, what goes by it, and what stays of the test."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import scenarios
import sim
from learning.data import load_samples
from tests.kit.inner.sim import learner_of
from tests.kit.small import SATELLITES, SLOTS, merged, slots
from tests.kit.small_nmoe import nmoe

ASIDE = {"data": {"validation": 0.2}}
LEARNT = {"steps_per_round": 10, "batch_size": 16, "step_size": 1.0}


def plain(validation=0.2, **more):
    """FedAvg of a plain model in steps so large that its accuracy goes up and down."""
    said = {"method": "fedavg", "model": {"kind": "vector-mlp"}, **LEARNT}
    said["data"] = {"validation": validation}
    base = merged({key: SLOTS[key] for key in SLOTS if key != "learning"}, {"stop": {"cycles": 8}})
    return scenarios.from_dict(merged(base | {"learning": said}, more))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return sim.run(plain(), tmp_path_factory.mktemp("validated") / "run")


def pooled(result):
    return result.metrics[result.metrics.scope == "global"].reset_index(drop=True)


# -- what is measured


def scores_by_hand(module, x, y):
    """Accuracy and mean cross-entropy."""
    with torch.no_grad():
        logits = module(torch.from_numpy(x)).double()
    y = torch.from_numpy(y)
    right = (logits.argmax(1) == y).double().mean()
    return float(right), float(torch.nn.functional.cross_entropy(logits, y))


def test_the_last_row_is_the_final_model_on_the_samples_that_no_device_has(run):
    """The rows are found by what is missing on the devices."""
    weights = load_file(run.folder / "model" / "model.safetensors")
    module = learner_of(plain()).task.model(weights)
    whole = load_samples(learner_of(plain(validation=0.0)).config)
    kept = load_samples(learner_of(plain()).config)
    rows = run.metrics[run.metrics.time_s == run.metrics.time_s.max()].set_index("scope")
    found = []
    for cluster in "AB":
        before = {
            x.tobytes(): (x, y)
            for part in whole.shards[cluster]
            for x, y in zip(part.x, part.y, strict=True)
        }
        for part in kept.shards[cluster]:
            for x in part.x:
                del before[x.tobytes()]
        x, y = map(np.array, zip(*before.values(), strict=True))
        assert len(y) == round(0.2 * 700)
        row = rows.loc["cluster"].set_index("cluster").loc[cluster]
        accuracy, loss = scores_by_hand(module, x, y)
        assert row.validation_accuracy == pytest.approx(accuracy, abs=1e-12)
        assert row.validation_loss == pytest.approx(loss, rel=1e-5)
        assert row.validation_samples == len(y)
        tested, _ = scores_by_hand(module, kept.test[cluster].x, kept.test[cluster].y)
        assert row.accuracy == pytest.approx(tested, abs=1e-12)
        found.append((accuracy, loss, len(y)))
    accuracy, loss, size = np.array(found).T
    last = rows.loc["global"]
    assert last.validation_accuracy == pytest.approx(np.average(accuracy, weights=size))
    assert last.validation_loss == pytest.approx(np.average(loss, weights=size), rel=1e-5)
    assert last.validation_samples == size.sum()


SATELLITE = merged(SATELLITES, {"learning": {"data": {"validation": 0.2}}, "stop": {"days": 0.3}})
RUNS = {
    "emsfl-enhanced": lambda: slots(learning={"method": "emsfl-enhanced", **ASIDE}),
    "local": lambda: slots(learning={"method": "local", "rounds": {"per_gap_max": 2}, **ASIDE}),
    "centralised": lambda: slots(learning={"method": "centralised", **ASIDE}),
    "aligned": lambda: slots(learning={"method": "aligned", **ASIDE}),
    "nmoe": lambda: nmoe(learning=ASIDE),
    "synthetic": lambda: plain(learning={"data": {"kind": "synthetic"}}, stop={"cycles": 2}),
    "satellites": lambda: scenarios.from_dict(SATELLITE),
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.quick(3)
def test_every_method_is_validated_wherever_it_is_tested(name):
    scenario = RUNS[name]()
    config = learner_of(scenario).config
    sizes = {cluster: len(part.y) for cluster, part in load_samples(config).validation.items()}
    if name == "nmoe":  # each client answers all
        sizes = {c: k * sizes[c] for c, k in zip(config.clusters, config.devices, strict=True)}
    result = sim.run(scenario)
    rows = result.metrics
    assert (rows.validation_accuracy.isna() == rows.accuracy.isna()).all()
    known = rows[rows.accuracy.notna()]
    assert len(known) > 3 and known.validation_loss.notna().all()
    for _, each in known.groupby(["time_s", "cycle"]):
        of = each[each.scope == "cluster"]
        whole = each[each.scope == "global"].iloc[0]
        assert of.set_index("cluster").validation_samples.to_dict() == sizes
        for figure in ("validation_accuracy", "validation_loss"):
            mean = np.average(of[figure], weights=of.validation_samples)
            assert whole[figure] == pytest.approx(mean)
    assert result.summary["validation_final"] == known.iloc[-1 - of.shape[0]].validation_accuracy


# -- what goes by it


def test_a_stop_at_an_accuracy_goes_by_validation_samples(run):
    rows = pooled(run)

    def first(column, target):
        return next((n for n, value in enumerate(rows[column]) if value >= target), None)

    # one that validation samples reach at another time than test samples do
    target = next(a for a in sorted(rows.validation_accuracy, reverse=True)
                  if first("accuracy", a) != first("validation_accuracy", a))  # fmt: skip
    stopped = sim.run(plain(stop={"accuracy": target}))
    assert pooled(stopped).equals(rows.iloc[: first("validation_accuracy", target) + 1])


def test_the_best_accuracy_is_that_of_the_test_where_validation_is_best(run):
    """The earliest of equals."""
    rows = pooled(run)
    best = rows.validation_accuracy.argmax()
    assert run.summary["accuracy_best"] == rows.accuracy[best]
    assert run.summary["validation_best"] == rows.validation_accuracy[best]
    hours = rows.time_s / 3600
    assert run.validation_at(hours[3]) == run.validation_at(hours[4] - 1e-6)
    assert run.validation_at(hours[3]) == rows.validation_accuracy[3]
    assert run.validation_at() == rows.validation_accuracy.iloc[-1]
    assert run.validation_at(-1.0) is None


# -- what else there is: sweeps, methods that do not validate
