"""Links come from tables of many passes: no bit of a pass depends on what is in its table."""

import numpy as np
import pytest

import scenarios
from sim.links import link_table as plan_links
from tests.kit.small import merged
from tests.kit.worlds import make_plan

MODCOD = {"rate": "modcod"}
CROWD = {"sharing": "equal_share", "total_bandwidth_mhz": 0.36}
LINKS = {
    "a broadcast down": {},
    "jumps of all kinds": {"environment": "dense_urban", "uplink": MODCOD},
    "a lock and a kink": {"uplink": {"required_snr_db": -1.0, "atmosphere": "inverse_elevation"}},
    "a band for all": {"uplink": CROWD, "environment": "suburban"},
}
PLACES = [
    {"name": "Munich", "latitude_deg": 48.14, "longitude_deg": 11.58, "devices": 5},
    {"name": "Nairobi", "latitude_deg": -1.29, "longitude_deg": 36.82, "devices": 1},
]


LOSSES = {
    "frequency_ghz": 2.2,
    "zenith_attenuation_db": 0.5,
    "atmosphere": "inverse_elevation",
    "scintillation_loss_db": 1.0,
    "shadowing_margin_db": 1.0,
    "other_losses_db": 6.0,
}


def contacts(link, places=PLACES, days=2):
    about = {"stop": {"days": days}, "ground": {"clusters": places}, "learning": {"train": False}}
    return make_plan(scenarios.load("circular", merged(about, {"link": link}))).contacts


def bits_of(contacts, number):
    """All that is known of the links of a contact."""
    contact = contacts[number]
    links = contact.links
    for beam in (links.to_server, links.to_client):
        if beam is not None:
            curve = beam.curve
            yield from (curve.time_s, curve.rate_bps, curve.capacity_bits)
            yield curve.delivered_bits((contact.rise_s + contact.set_s) / 2)
            yield beam.reach(len(curve.time_s)).capacity_bits
            shares = (0.01, 0.4, 0.99) if beam.narrow is not None else ()
            for share in shares:
                now_s = contact.rise_s + share * 400.0
                who = np.arange(len(curve.time_s)) != 1
                segment = beam.stretch(4, now_s, who)
                yield from (segment.curve.rate_bps, segment.curve.time_s, segment.until_s)
    yield from (links.delay_s(curve.time_s[:, 3]), links.doppler_hz)
    yield from figures_of(contacts, number)


def figures_of(contacts, number):
    return contacts.links.figures(np.array([number]))


def equal(one, other):
    pairs = zip(bits_of(*one), bits_of(*other), strict=True)
    return all(np.array_equal(np.asarray(x), np.asarray(y)) for x, y in pairs)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.quick(2)
def test_a_pass_alone_has_the_links_that_it_has_among_all(link, monkeypatch, caplog):
    """Also asked for in another order, again (a plan logs it once), and without a cluster."""
    caplog.set_level("INFO", "leomix.run")
    together = contacts(LINKS[link])
    again = contacts(LINKS[link])
    munich = contacts(LINKS[link], PLACES[:1])
    for of_all in (together, munich):
        assert figures_of(of_all, 0).doppler_hz > 0.0  # with it all others are made
    in_munich = {rise_s: number for number, rise_s in enumerate(munich.rise_s.tolist())}
    monkeypatch.setattr(plan_links, "POINTS_AT_ONCE", 1)
    assert len(together) > 15
    for number in (*np.random.default_rng(1).permutation(len(again)), 0):
        alone = again[number]
        assert equal((together, number), (again, number))
        alone.close()
        if alone.cluster.name == "Munich":
            assert equal((munich, in_munich[alone.rise_s]), (again, number))
    assert 1 <= sum("made again" in message for message in caplog.messages) <= 3


def test_one_direction_is_not_given_the_losses_of_the_other():
    """Where both lose the same, that is looked up once for both."""
    alike = contacts({}, PLACES[1:], days=0.5)
    assert alike
    for loss, value in LOSSES.items():
        others = contacts({"uplink": {loss: value}}, PLACES[1:], days=0.5)
        for one, other in zip(alike, others, strict=True):
            links, changed = one.links, other.links
            down_bps = links.to_client.curve.rate_bps
            assert np.array_equal(down_bps, changed.to_client.curve.rate_bps)
            up_bits = links.to_server.curve.capacity_bits
            assert (up_bits != changed.to_server.curve.capacity_bits).all()
