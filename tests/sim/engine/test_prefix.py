"""The prefix property: what ends before the stop is the same, to the bit, with a later stop."""

import numpy as np
import pandas as pd
import pytest

import leomix

LONGER = 1.7
ENDS = ("end_s", "set_s", "time_s")
"""Columns that say when a row is over."""
CUT = ("set_utc", "set_s", "duration_s", "culminate_utc", "max_elevation_deg",
       "min_slant_range_km", "service_end_s", "uplink_capacity_bytes_per_device",
       "downlink_capacity_bytes_per_device", "isl_capacity_bytes_per_device")  # fmt: skip
"""Columns of a contact that say less of it where the stop cuts it."""
UNTUNED = {"learning.gate_tuning_cycles": 0}
"""The cycles that tune the gate are counted back from the stop."""

FORESEEING = ("aligned-digits",)
"""Scenarios whose methods ask how many contacts are left."""
TOLD_LATE = ("flystack-isl",)
"""Scenarios whose transfers are told of when the round in a ring is over."""

QUICK = [("circular", 0.7, UNTUNED), ("plain-fedavg", 0.7, {}), ("fedsat", 0.5, {})]
WIDE = [
    ("quickstart", 1.0, UNTUNED),
    ("walker", 0.2, UNTUNED),
    ("flystack", 0.3, {}),
    ("fedisl", 0.5, {}),
    ("iridium-isl", 0.03, {}),
    ("flystack-isl", 0.15, {}),
    ("nmoe-digits", 0.7, {}),
    ("aligned-digits", 1.5, UNTUNED),
]
FAULTS = {
    "faults.outages.per_day": 4,
    "faults.outages.mean_hours": 0.5,
    "link.environment": "urban",
}


def prefix(table: pd.DataFrame, stop_s: float) -> pd.DataFrame:
    """The rows that are over before a time."""
    ends = [name for name in ENDS if name in table]
    return table[table[ends].max(axis=1) < stop_s].reset_index(drop=True)


def foreseen_s(contacts: pd.DataFrame) -> float:
    """When the first client begins its last contact but one.

    Methods ask when a client comes again: what they do then rests on what the plan still holds.
    """
    starts_s = contacts[contacts.served].groupby("cluster").service_start_s
    return min(of_one.nlargest(2).iloc[-1] for _, of_one in starts_s)


def with_a_contact_to_come(events: pd.DataFrame, contacts: pd.DataFrame) -> pd.DataFrame:
    """Events without those trainings that begin when their client has no contact left.

    A device trains until its next contact: how many rounds rests on whether there is one.
    """
    last_s = contacts[contacts.served].groupby("cluster").service_start_s.max()
    training = events.kind.isin(["train_start", "train_end"])
    late = events.time_s >= events.cluster.map(last_s).fillna(-np.inf)
    return events[~(training & late)].reset_index(drop=True)


def run(name, days, changes):
    overrides = {"stop.days": days, "learning.train": False} | changes
    return leomix.run(leomix.load(name, overrides))


def same(table: str, shorter: pd.DataFrame, longer: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(shorter, longer, check_exact=True, obj=table)


@pytest.mark.parametrize(
    ("name", "days", "changes"),
    [
        *QUICK,
        *(pytest.param(*each, marks=pytest.mark.wide) for each in WIDE),
        pytest.param("quickstart", 1.0, UNTUNED | FAULTS, marks=pytest.mark.wide, id="faults"),
    ],
)
def test_a_run_begins_as_one_with_a_later_stop(name, days, changes):
    shorter, longer = (run(name, each, changes) for each in (days, LONGER * days))
    stop_s = days * 86_400.0
    contacts = prefix(shorter.contacts, stop_s)
    assert len(contacts)
    same("contacts", contacts, prefix(longer.contacts, stop_s))
    until_s = foreseen_s(shorter.contacts) if name in FORESEEING else stop_s
    if name in TOLD_LATE:
        until_s = float(shorter.transfers.end_s.max())
    for table in ("transfers", "updates"):
        rows = prefix(getattr(shorter, table), until_s)
        assert len(rows)
        same(table, rows, prefix(getattr(longer, table), until_s))
    each = (prefix(one.events, until_s) for one in (shorter, longer))
    same("events", *(with_a_contact_to_come(events, shorter.contacts) for events in each))


@pytest.mark.parametrize("name", ["walker", "plain-fedavg"])
def test_a_contact_that_the_stop_cuts_is_served_as_in_a_longer_plan(name):
    whole = leomix.plan(leomix.load(name, {"stop.days": 0.7})).contacts
    lasting = whole[whole.served & (whole.service_end_s > 0.3 * 86_400)].iloc[0]
    stop_s = round((lasting.service_start_s + lasting.service_end_s) / 2)
    cut = leomix.plan(leomix.load(name, {"stop.days": stop_s / 86_400})).contacts
    risen = whole[whole.rise_s < stop_s]
    risen.loc[risen.service_start_s >= stop_s, ["served", "service_start_s"]] = False, np.nan
    assert cut.set_s.max() == stop_s < risen.set_s.max()
    same("contacts", cut.drop(columns=[*CUT]), risen.drop(columns=[*CUT]))
