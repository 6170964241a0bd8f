"""Books, list of payloads and rows agree, payload by payload, whatever the roles; or the run stops.

White box: rows, accounts and the list are tampered with.
"""

import re
from dataclasses import replace

import pytest

import scenarios
import sim
from tests.kit import records
from tests.kit.network import Books
from tests.kit.scripted import B0, B1, at, ground, replies, sent
from tests.sim.checks.test_invariants import AGREE, OFTEN, legs, swap
from tests.sim.engine.test_roles import IN_ORBIT, RELAYED

ROLES = {
    "clusters": (OFTEN, "uplink", "downlink"),
    "satellites": (IN_ORBIT, "downlink", "uplink"),
    "a satellite that serves others": (RELAYED, "isl", "isl"),
}


@swap(Books, "listed")
def shorter(honest, self):
    return honest(self)[1:]


@swap(Books, "listed")
def smaller(honest, self):
    return [one | {"bytes": one["bytes"] / 2} for one in honest(self)]


@swap(Books, "booked")
def elsewhere(honest, self):
    for one in honest(self):
        yield replace(one, key=one.key._replace(direction="sidelink"))


@swap(Books, "booked")
def cooked(honest, self):
    """More was sent, all in vain: the books agree with themselves."""
    for one in honest(self):
        yield replace(one, sent=one.sent + 1.0, sent_in_vain=one.sent_in_vain + 1.0)


@swap(records.Facts, "emit")
def doubled(honest, self, fact):
    """The rows of messages are of twice as much."""
    if isinstance(fact, records.TransferRow):
        twice = 2 * fact.payload_bytes
        fact = replace(fact, payload_bytes=twice, delivered_bytes=2 * fact.delivered_bytes)
    honest(self, fact)


TWICE = legs(lambda leg: {"size": 2 * leg.size, "bytes": 2 * leg.bytes}, way="server")
RENAMED = legs(lambda leg: {"key": leg.key._replace(payload="another")}, way="client")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (TWICE, "{up} of .* to the server sent .* bytes, but the rows have"),
        (RENAMED, "{down} of another to the client has rows, but no books"),
        (elsewhere, "{up} of .* to the server has rows, but no books"),
        (cooked, "{up} of .* to the server sent .* bytes, but the rows have"),
        (shorter, "to the (server|client) is not in the list of payloads"),
        (smaller, "to the (server|client) is listed with .* bytes, but a row has"),
    ],
    ids=["twice", "renamed", "elsewhere", "cooked", "shorter", "smaller"],
)
def test_a_run_stops_where_rows_books_and_list_disagree(monkeypatch, role, tamper, said):
    scenario, up, down = ROLES[role]
    tamper(monkeypatch)
    with pytest.raises(sim.InvariantError) as why:
        sim.run(scenarios.from_dict(scenario))
    assert AGREE in str(why.value)
    assert re.search(said.format(up=up, down=down), str(why.value))


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (doubled, "sidelink of feature to the peer sent 1000.0 bytes, but the rows have 2000.0"),
        (shorter, "sidelink of feature to the peer is not in the list of payloads"),
    ],
)
def test_messages_are_booked_too(monkeypatch, tamper, said):
    tamper(monkeypatch)
    with pytest.raises(sim.InvariantError, match=f"{AGREE}.*{said}"):
        replies(ground(), at(0.0, sent(B0, B1, 1000.0)))
