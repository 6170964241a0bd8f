"""What a finished run promises, seen in its tables alone: every run, and those of each method.

Sums of bytes, times and contacts are checked by ``check_tables``, whose power
``tests/sim/checks/test_invariants.py`` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import sim
from sim.analysis.summary import fault_counts
from sim.errors import InvariantError
from sim.facts.directions import Way
from sim.plan.passes import LAST_BITS_S
from tests.kit.spy import Spy, changes_of_hands, check_conserved, new_owners_that_trained, owners

Drawn = Mapping[str, Any]
"""A scenario that was drawn at random, as JSON."""


def check(drawn: Drawn, result: sim.Result, spy: Spy) -> None:
    """What every run promises, and then what its method does."""
    check_tables(result.tables)
    assert result.manifest["status"] == "complete"
    assert result.metrics.accuracy.dropna().between(0, 1).all()
    over = result.transfers[result.transfers.contact_id.notna()]
    contacts = result.contacts.set_index("contact_id").loc[over.contact_id]
    assert (over.cluster.to_numpy() == contacts.cluster).all()
    assert (over.start_s.to_numpy() >= contacts.rise_s - 1e-6 - 1e-9 * contacts.set_s).all()
    _one_thing_at_a_time(result.events, drawn["orbit"]["source"] == "slots")
    _said_as_it_is(drawn, result)
    PROMISES[drawn["learning"]["method"]](drawn, result, spy)


def _one_thing_at_a_time(events: pd.DataFrame, slots: bool) -> None:
    """A device begins to train only when it has ended the training before.

    The paper's slots hold a number of rounds between contacts, however long these are: there
    contacts and gaps count apart.
    """
    training = events[events.kind.isin(["train_start", "train_end"])]
    apart = training.contact_id.isna() & slots
    for device, rows in training.groupby(["cluster", "device", apart], sort=False):
        begun = (rows.kind == "train_start").cumsum() - (rows.kind == "train_end").cumsum()
        assert begun.between(0, 1).all(), f"{device} trains twice at a time"


def _said_as_it_is(drawn: Drawn, result: sim.Result) -> None:
    """Events, contacts, transfers, versions and faults tell the same story."""
    events = result.events
    moved = result.transfers
    kinds = events.kind.value_counts()
    texts = events.detail.fillna("")
    up = int((moved.toward == Way.TO_SERVER).sum())
    assert kinds.get("upload_start", 0) == kinds.get("upload_end", 0)
    assert kinds.get("upload_end", 0) == up or over_mesh(drawn)
    # One that opens at the very end of a run is no longer served.
    opened = events[(events.kind == "connect") & (events.time_s < result.manifest["simulated_s"])]
    assert len(opened) == result.contacts.served.sum()
    injected = texts[events.kind == "fault"].str.startswith("injected: ").sum()
    refused = texts[events.kind == "drop"].str.endswith("refused: corrupted in transit").sum()
    assert injected + refused == sum(fault_counts(result.tables["events"]).values())
    if _waits_for_all(drawn):
        assert not texts[events.kind == "wait"].str.contains(" reached").any()
    if drawn["learning"]["train"]:
        assert np.isfinite(result.metrics.loss.dropna()).all()


def _waits_for_all(drawn: Drawn) -> Any:
    return drawn["learning"].get("aggregation", {"when": "all"})["when"] == "all"


def plain(drawn: Drawn) -> Any:
    """Whether nothing is struck by faults and every aggregation waits for all."""
    return not drawn.get("faults") and _waits_for_all(drawn)


def in_orbit(drawn: Drawn) -> bool:
    """Whether satellites are the clients."""
    return "clients" in drawn.get("roles", {})


def over_mesh(drawn: Drawn) -> bool:
    """Whether uploads and downloads take links between satellites."""
    return drawn["link"].get("isl", {}).get("route") == "earliest"


def clients_of(drawn: Drawn) -> int:
    """How many there are: clusters of devices, or satellites that learn."""
    if not in_orbit(drawn):
        return len(drawn["ground"]["clusters"])
    rows = drawn["orbit"].get("windows", "").split("\n")[1:]
    served_by_one = drawn["roles"]["server"] != "stations"
    everybody = drawn["orbit"].get("satellites") or len({row.split(",")[0] for row in rows})
    return int(everybody) - served_by_one


def versions(result: sim.Result) -> Any:
    """Aggregations, of which each makes the next version; those at one time stand by name."""
    made = result.events[result.events.kind == "aggregate"].sort_values(["time_s", "version"])
    assert made.version.tolist() == list(range(1, len(made) + 1))
    return made


def delivered(result: sim.Result) -> Any:
    """Updates that are through, in order of time."""
    moved = result.transfers
    through = moved[(moved.toward == Way.TO_SERVER) & (moved.outcome == "delivered")]
    return through[through.payload != "relay"].sort_values("end_s", kind="stable")


def updates_of_rounds(result: sim.Result) -> Any:
    """Aggregations and their updates, which stem from the version before; a device has one."""
    made = versions(result)
    through = delivered(result)
    found = [(row, through[through.version == row.version - 1]) for row in made.itertuples()]
    assert not any(mine.duplicated(["cluster", "device"]).any() for _, mine in found)
    return found


def synchronous(drawn: Drawn, result: sim.Result, spy: Spy) -> None:
    """Nobody trains outside a contact."""
    versions(result)
    training = result.events[result.events.kind.isin(["train_start", "train_end"])]
    assert training.contact_id.notna().all()


def emsfl(drawn: Drawn, result: sim.Result, spy: Spy) -> None:
    """Two clusters never train one expert, and nothing that was trained gets lost unseen."""
    versions(result)
    changes_of_hands(spy, result)
    check_conserved(spy)
    owners(result)
    new_owners_that_trained(spy, result)


def fedavg(drawn: Drawn, result: sim.Result, spy: Spy) -> None:
    """A round has every device at most once; with nothing in the way it has all that can train."""
    clients = clients_of(drawn)
    made = versions(result)
    if over_mesh(drawn):  # rows are of who carries an update, whoever trained it
        return
    for row, mine in updates_of_rounds(result):
        assert "staleness:0" in row.detail or "devices:0/" in row.detail, "all were refused"
        if plain(drawn):
            assert f"devices:{len(mine)}/" in row.detail
            assert f"clusters:{mine.cluster.nunique()}/{clients}" in row.detail
            assert mine.end_s.max() <= row.time_s + 1e-9
    given_up = (result.events.kind == "drop").any()  # who gives up an update trains another
    if plain(drawn) and not given_up:
        trained = result.events[result.events.kind == "train_end"]
        rounds = np.searchsorted(made.time_s.to_numpy(), trained.time_s, side="left")
        again = trained.assign(round=rounds).duplicated(["cluster", "device", "round"])
        assert not again.any(), "trained twice in a round"


def aligned(drawn: Drawn, result: sim.Result, spy: Spy) -> None:
    """Rounds as those of FedAvg; no device holds more experts than fit."""
    updates_of_rounds(result)
    capacity = drawn["learning"]["options"].get("capacity", 0)
    held = result.assignments.groupby(["time_s", "cluster", "device"]).assigned.sum()
    assert not capacity or (held <= capacity).all()


def fedbuff(drawn: Drawn, result: sim.Result, spy: Spy) -> None:
    """As many updates go into the buffer as come out; nobody trains in a contact."""
    made = versions(result)
    if over_mesh(drawn):
        return
    through = delivered(result)
    size = drawn["learning"]["options"].get("buffer_size", 0)
    size = size or max(2, (clients_of(drawn) + 1) // 2)
    size = 1 if drawn["learning"]["method"] == "fedasync" else size
    assert made.detail.str.contains(f"updates:{size} ").all()
    merged = made.detail.str.extract(r"devices:(\d+)")[0].astype(int).sum()
    assert merged <= len(through)
    if plain(drawn) and drawn["orbit"]["source"] in ("slots", "circular"):
        updates = through.groupby("contact_id").size()
        assert len(made) == len(updates) // size
        left = len(updates) % size
        assert len(through) - merged == (updates.tail(left).sum() if left else 0)
    assert result.events[result.events.kind == "train_end"].contact_id.isna().all()


def sends_nothing(drawn: Drawn, result: sim.Result, spy: Spy) -> None:
    """Neither up nor down, and nothing is aggregated."""
    assert result.transfers.empty and result.updates.empty
    assert not (result.events.kind == "aggregate").any()


def nmoe(drawn: Drawn, result: sim.Result, spy: Spy) -> None:
    """Stages follow each other; what was answered took some time, and what failed has none."""
    rows = result.inferences
    assert (rows.latency_s.isna() == (rows.outcome == "failed")).all()
    assert (rows.sent_bytes[rows.outcome == "local"] == 0).all()
    asked = drawn["learning"]["options"]["inference_samples"]
    assert not len(rows) or asked > 0


def in_order(drawn: Drawn, result: sim.Result, spy: Spy) -> None:
    """Each aggregation makes the next version."""
    versions(result)


def nothing_more(drawn: Drawn, result: sim.Result, spy: Spy) -> None:
    """What every run promises."""


ENHANCED = ("emsfl-enhanced", "restless", "restless-enhanced")
PROMISES: dict[str, Callable[[Drawn, sim.Result, Spy], None]] = {
    "emsfl": emsfl, "fedavg": fedavg, "fedbuff": fedbuff, "aligned": aligned, "nmoe": nmoe,
    "synchronous": synchronous, **dict.fromkeys(ENHANCED, emsfl), "fedasync": fedbuff,
    **dict.fromkeys(("fedprox", "fedopt", "scaffold"), fedavg),
    **dict.fromkeys(("fedavg-sat", "fedprox-sat", "fedsat", "fedspace", "select"), in_order),
    **dict.fromkeys(("fedisl", "fedleo", "autoflsat"), in_order),
    "fedavg-per-cluster": nothing_more,
    **dict.fromkeys(("local", "centralised"), sends_nothing),
}  # fmt: skip
"""What the runs of a method promise beyond what all do."""


# Of the tables alone, by code that no run goes through.


TOLERANCE = 1e-9


"""Relative rounding of byte sums and times."""


SHOWN = 3


"""How many payloads with a wrong sum are named."""


OFFER = ["cluster", "device", "direction", "payload", "version"]


"""What tells one payload of a device from another."""


def check_tables(tables: Mapping[str, pa.Table]) -> None:
    """Raise InvariantError that names each invariant that a run's tables violate."""
    moved, contacts = (tables[name].to_pandas() for name in ("transfers", "contacts"))
    direct = moved.peer.notna()  # to a server that is a satellite, links are contacts
    over = moved[~direct]
    wrong = _transfers(over, contacts) | _messages(moved[direct])
    served = contacts[contacts.served]
    wrong["a served contact has no duration"] = ~(served.service_end_s > served.service_start_s)
    texts = (text for text, rows in wrong.items() if rows.any())
    found = [*_clock(tables), *texts, *wrong_sums(over)]
    if found:
        raise InvariantError("the run contradicts itself: " + "; ".join(found))


def _clock(tables: Mapping[str, pa.Table]) -> Iterator[str]:
    for name, column in (("events", "time_s"), ("metrics", "time_s"), ("transfers", "start_s")):
        time = tables[name].column(column).to_pandas()
        if not np.isfinite(time).all():
            yield f"a time in {name} is not finite"
        elif (time.diff() < 0).any() or (time < 0).any():
            yield f"the clock of {name} runs backwards"


def _transfers(moved: pd.DataFrame, contacts: pd.DataFrame) -> dict[str, pd.Series]:
    """Return which rows of transfers over contacts are wrong, by what is."""
    span = contacts[["service_start_s", "service_end_s"]].iloc[moved.contact_id.astype(int)]
    begins, ends = span.to_numpy().T
    slack = TOLERANCE * np.maximum(ends, 1.0)
    early = moved.start_s < begins - slack
    late = moved.end_s > ends + slack + LAST_BITS_S
    # A neglected downlink takes no time; everything else does.
    at_once = (moved.end_s == moved.start_s) & (moved.direction == "uplink")
    size = moved.payload_bytes
    delivered = moved.delivered_bytes
    some = (delivered > 0) & (delivered <= size * (1 + TOLERANCE))
    return {
        "a transfer lies outside its contact": early | late,
        "a transfer has no duration": (moved.end_s < moved.start_s) | at_once,
        "a transfer carries more than its payload, or nothing": ~some,
    }


def _messages(moved: pd.DataFrame) -> dict[str, pd.Series]:
    """Between devices there is no contact to go on in: a message arrives as a whole."""
    size = moved.payload_bytes
    delivered = moved.delivered_bytes
    other = (moved.outcome == "delivered") & (delivered != size)
    return {
        "a message has no duration": ~(moved.end_s > moved.start_s),
        "a message over a sidelink has a contact, or carries nothing": moved.contact_id.notna()
        | ~(delivered > 0),
        "a message arrives with more bytes than it has, or with fewer": other | (delivered > size),
    }


def wrong_sums(moved: pd.DataFrame) -> Iterator[str]:
    """A payload's rows, from the first or the one after a lost one on, carry its size."""
    lost = (moved.outcome != "carried").groupby([moved[key] for key in OFFER])
    part = lost.cumsum() - (moved.outcome != "carried")
    total = moved.delivered_bytes.groupby([*(moved[key] for key in OFFER), part]).cumsum()
    apart = (total - moved.payload_bytes).abs() > TOLERANCE * moved.payload_bytes
    wrong = moved.assign(total=total)[(moved.outcome == "delivered") & apart]
    for *name, size, sent in wrong[[*OFFER, "payload_bytes", "total"]].head(SHOWN).to_numpy():
        yield f"{(*name,)}: {sent} bytes were sent of a delivered payload of {size}"
    if len(wrong) > SHOWN:
        yield f"{len(wrong) - SHOWN} more delivered payloads have too many bytes, or too few"
