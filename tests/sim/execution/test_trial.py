"""Remedies of a run: overrides of its scenario that improve, when applied, what they are said to."""

import json

import pytest

import scenarios
import sim
from sim.analysis.checks import Check
from tests.kit import small

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
        "tests": lambda: ((result.metrics.scope == "global") & (result.metrics.time_s > 0)).sum(),
    }[name]()


def remedies_of(result):
    checks = [*result.checks, *([result.held_back] if result.held_back else [])]
    return [check for check in checks if check.key is not None]


def assert_improves(result, check, *, is_whole=True):
    """The figure improves by 5 % or more over the whole run; by what is said where that is tried."""
    again = applied(result, check)
    before, after = (figure_of(run, check.figure) for run in (result, again))
    if check.figure in COSTS:
        assert after <= before * (1 - LEAST) and check.after < check.before
    else:
        assert after >= before * (1 + LEAST) and after > before and check.after > check.before
    if is_whole:
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
    "few satellites": (lambda: over_orbit(orbit={**SATELLITES, "min_elevation_deg": 0}), 1),
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
        lambda: over_orbit(stop={"days": 0.25}, compute={"seconds_per_round": 20_000}),
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
