"""Remedies of a run: overrides of its scenario that improve the figure that they name."""

import json

import pytest
import torch

import learning
import scenarios
import sim
from tests.kit import small
from tests.kit.folders import Each, cut, limited

LEAST = 0.05
COSTS = ("passes_per_upload", "passes_per_download", "mean_staleness")
TIMED = {"method": "fedavg", "train": False, "model": {"kind": "vector-mlp"}}


def applied(result, check):
    """A remedy applied to the whole scenario of a run, timing only."""
    keys = {check.key: check.value, "learning.train": False}
    return sim.run(scenarios.from_stored(result.manifest["scenario"], keys), advise=False)


def passes_each(result, toward):
    rows = result.transfers[result.transfers.toward == toward]
    return len(rows) / (rows.outcome == "delivered").sum()


def figure_of(result, name):
    """A figure by its definition, out of the summary and the tables of a run."""
    summary = result.summary
    days = summary["hours"] / 24
    sent = result.transfers
    return {
        "device_rounds": lambda: summary["device_rounds"],
        "device_rounds_per_day": lambda: summary["device_rounds"] / days,
        "updates_used": lambda: summary["updates_used"],
        "updates_used_per_day": lambda: summary["updates_used"] / days,
        "mean_staleness": lambda: summary["staleness_mean"],
        "passes_per_upload": lambda: passes_each(result, "server"),
        "passes_per_download": lambda: passes_each(result, "client"),
        "uploads_delivered": lambda: (
            (sent.toward == "server") & (sent.outcome == "delivered")
        ).sum(),
        "downloads_delivered": lambda: (
            (sent.toward == "client") & (sent.outcome == "delivered")
        ).sum(),
        "devices_heard": lambda: len(
            sent[sent.toward == "server"].groupby(["cluster", "device"], observed=True)
        ),
        "devices_training": lambda: (
            sum(row["devices"] for row in result.manifest["energy"])
            - sum(summary["excluded_devices"].values())
        ),
    }[name]()


def remedies_of(result):
    checks = [*result.checks, *([result.held_back] if result.held_back else [])]
    return [check for check in checks if check.key is not None]


def assert_improves(result, check):
    """The figure improves by 5 % or more over the whole run, to the values that are said of it."""
    again = applied(result, check)
    before, after = (figure_of(run, check.figure) for run in (result, again))
    if check.figure in COSTS:
        assert after <= before * (1 - LEAST) and check.after < check.before
    else:
        assert after >= before * (1 + LEAST) and after > before and check.after > check.before
    assert (before, after) == pytest.approx((check.before, check.after))
    assert {c for c, _ in warned(again)} <= {c for c, _ in warned(result)}


def warned(result):
    return [(one.code, one.severity) for one in result.warnings]


def over_orbit(**changes):
    return scenarios.from_dict({**small.ORBIT, "learning": TIMED, **changes})


SATELLITES = {"source": "walker", "satellites": 4, "planes": 1, "phasing": 0}
SATELLITES |= {"altitude_km": 600, "inclination_deg": 97.8}
CASES = {
    "a slow uplink": (lambda: over_orbit(link=small.fixed(uplink=1e-4)), 2),
    "an uplink that is far too slow": (lambda: over_orbit(link=small.fixed(uplink=1e-7)), 1),
    "a slow downlink": (lambda: over_orbit(link=small.fixed(downlink=1e-4)), 2),
    "a high mask": (lambda: over_orbit(orbit={**SATELLITES, "min_elevation_deg": 40}), 1),
    "few satellites": (
        lambda: over_orbit(orbit={**SATELLITES, "satellites": 2, "min_elevation_deg": 0}),
        1,
    ),
    "long rounds": (
        lambda: over_orbit(
            orbit={**SATELLITES, "satellites": 24}, compute={"seconds_per_round": 40_000}
        ),
        1,
    ),
    "little memory": (
        lambda: over_orbit(
            compute={"seconds_per_round": 200, "memory_gib": 1e-5}, stop={"days": 0.5}
        ),
        1,
    ),
    "a run too short for an upload": (
        lambda: over_orbit(stop={"days": 0.4}, compute={"seconds_per_round": 20_000}),
        1,
    ),
}
"""Scenarios, and how many remedies their runs have at least."""


@pytest.mark.parametrize("name", CASES)
@pytest.mark.quick(2)
def test_a_remedy_improves_its_figure_by_what_is_said(name):
    make, least = CASES[name]
    result = sim.run(make())
    remedies = remedies_of(result)
    assert len(remedies) >= least
    for check in remedies:
        assert_improves(result, check)


SHIPPED = {
    "plain-fedavg": {"stop.days": 2},
    "quickstart": {"stop.days": 2},
    "quickstart-8b": {"stop.days": 4},
    "circular": {"stop.days": 2},
    "fedsat": {},
    "fedisl": {},
    "aligned-digits": {},
    "paper-slots": {},
    "plain-text": {},
}
"""Shipped scenarios that are timed in a second, and keys that shorten them."""


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.quick(3)
def test_each_remedy_of_a_shipped_scenario_improves_its_figure(name):
    """The timing alone: the bottleneck of a run has a remedy, if any was found."""
    result = sim.run(scenarios.load(name, {"learning.train": False, **SHIPPED[name]}))
    for check in remedies_of(result):
        assert_improves(result, check)


README = {1: (["too-few-passes"], 4), 4: ([], None)}
"""Rounds in a contact of README's first run, its checks, and the rounds that are advised."""


@pytest.mark.parametrize("rounds", README)
@pytest.mark.slow(reason="FedAvg is trained for two days")
def test_the_first_run_of_the_readme_is_advised_to_train_more_once(rounds):
    keys = {"stop.days": 2, "learning.rounds.per_contact": rounds}
    result = sim.run(scenarios.load("plain-fedavg", keys))
    codes, advised = README[rounds]
    assert [check.code for check in result.checks] == codes
    for check in result.checks:
        assert (check.key, check.value) == ("learning.rounds.per_contact", advised)
        assert check.figure == "device_rounds_per_day"
    for check in remedies_of(result):
        assert_improves(result, check)


SLOW_UPLINK = {**small.ORBIT, "learning": TIMED, "link": small.fixed(uplink=1e-4)}


def stored(run):
    return run.manifest["checks"], run.manifest["held_back"]


def test_a_run_that_was_killed_in_a_trial_is_complete_and_advised_when_it_is_resumed(tmp_path):
    """Its folder is that of a run without advice: it is written before anything is tried."""
    scenario = scenarios.from_dict(SLOW_UPLINK)
    whole = sim.run(scenario, tmp_path / "whole")
    killed = sim.run(scenario, tmp_path / "killed", advise=False)
    assert "held_back" not in killed.manifest
    assert [check.sentence for check in killed.checks] == [c.sentence for c in whole.checks]
    assert all(check.key is None for check in [*killed.checks, killed.held_back])
    again = sim.run(scenario, tmp_path / "killed", resume=True)
    assert stored(again) == stored(whole) == stored(sim.load(tmp_path / "killed"))
    for digest in ("trace_sha256", "timing_sha256", "checksums"):
        assert killed.manifest[digest] == whole.manifest[digest]


def test_an_interrupted_and_an_extended_run_are_advised_as_undisturbed_ones(tmp_path):
    scenario = scenarios.from_dict(SLOW_UPLINK)
    whole = stored(sim.run(scenario))
    place = cut(scenario, tmp_path / "cut", 20)
    assert "held_back" not in sim.load(place).manifest
    assert stored(sim.run(scenario, place, resume=True)) == whole
    shorter = {**SLOW_UPLINK, "stop": {"days": 1.0}}
    sim.run(scenarios.from_dict(shorter), tmp_path / "extended")
    assert stored(sim.run(scenario, tmp_path / "extended", resume=True)) == whole


def test_a_trial_leaves_nothing_and_tells_observers_nothing(tmp_path):
    scenario = scenarios.from_dict(SLOW_UPLINK)
    events = {True: [], False: []}
    for advise, seen in events.items():
        sim.run(scenario, tmp_path / str(advise), advise=advise, observers=[Each(seen.append)])
    assert events[True] == events[False]
    names = [sorted(p.name for p in (tmp_path / str(advise)).iterdir()) for advise in events]
    assert names[0] == names[1]


class Model(torch.nn.Sequential):
    """A module whose second and later copies fail to be made with the error that is set."""

    error: type[BaseException] | None = None

    def __init__(self):
        super().__init__(torch.nn.Linear(64, 64), torch.nn.Linear(64, 10))
        if Model.error is not None:
            raise Model.error


class AfterItsEnd(sim.Observer):
    """Lets the module fail from the end of a run on."""

    def __init__(self, error):
        self.error = error

    def event(self, number, time_s):
        Model.error = self.error


class Quiet(learning.FedAvg):
    """A method of the user's, which counts its runs."""

    runs = 0

    def __init__(self, world, options=None):
        super().__init__(world, options)
        Quiet.runs += 1


def test_a_method_of_the_user_is_not_run_again():
    learns = {**TIMED, "method": f"{__name__}:Quiet"}
    result = sim.run(scenarios.from_dict({**SLOW_UPLINK, "learning": learns}))
    assert [(check.code, check.key) for check in result.checks] == [("large-payload", None)]
    assert Quiet.runs == 1


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_error_in_a_trial_loses_nothing_of_the_run(tmp_path, error):
    learns = {**TIMED, "model": {"kind": f"{__name__}:Model"}}
    scenario = scenarios.from_dict({**SLOW_UPLINK, "learning": learns})
    Model.error = None
    result = sim.run(scenario, tmp_path / "run", observers=[AfterItsEnd(error)])
    assert [check.code for check in result.checks] == ["large-payload"]
    assert result.checks[0].key is None
    assert result.manifest["status"] == "complete"
    Model.error = None
    again = sim.run(scenario, tmp_path / "run", resume=True)
    # A trial that was interrupted is done later, one that failed is not.
    assert (again.checks[0].key is not None) == (error is KeyboardInterrupt)


@pytest.mark.wide
def test_a_long_run_is_tried_over_a_part_of_its_span():
    orbit = {**SATELLITES, "satellites": 2, "min_elevation_deg": 0}
    scenario = over_orbit(orbit=orbit, stop={"days": 3})
    [check] = remedies_of(sim.run(scenario))
    assert (check.key, check.value) == ("orbit.satellites", 4)
    events = sim.run(scenario, advise=False).manifest["events"]
    with limited(events_of_a_trial=events // 3):
        [part] = remedies_of(sim.run(scenario))
    assert part[:4] == check[:4] and (part.before, part.after) != (check.before, check.after)
    shorter = over_orbit(orbit=orbit, stop={"days": 3 * (events // 3) / events})
    keys = {"orbit.satellites": 4}
    for said, changes in ((part.before, {}), (part.after, keys)):
        timed = sim.run(scenarios.from_stored(shorter.model_dump(mode="json"), changes))
        assert figure_of(timed, "updates_used_per_day") == pytest.approx(said)
    with limited(events_of_a_trial=events // 100):  # in two hours nothing is sent
        assert remedies_of(sim.run(scenario)) == []


def test_a_comparison_prints_one_remedy_once(leomix, tmp_path):
    """Two groups whose checks differ by their code have the same remedy."""
    for method in ("fedavg", "fedasync"):
        learns = {**TIMED, "method": method}
        sim.run(scenarios.from_dict({**SLOW_UPLINK, "learning": learns}), tmp_path / method)
    place = tmp_path / "fedasync" / "manifest.json"
    manifest = json.loads(place.read_text())
    remedy = json.loads((tmp_path / "fedavg" / "manifest.json").read_text())["checks"][0]
    manifest["checks"] = [{**remedy, "code": "silent-devices"}]
    place.write_text(json.dumps(manifest))
    text = " ".join(leomix("compare", tmp_path / "fedavg", tmp_path / "fedasync").out.split())
    assert text.count("No pass carries more than") == 2
    assert text.count("link.uplink.fixed_rate_mbps=0.001") == 1
