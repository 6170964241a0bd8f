"""A direction is that of the transfers table, wherever a run, or what is said of one, names it."""

import json
import re

import pytest
import yaml

import scenarios
import sim
from tests.kit.results import data_size
from tests.sim.engine.test_roles import IN_ORBIT, RELAYED, WALKER

NEEDS_FILES = {
    *("nmoe-cifar10", "paper-exp1-gpu", "paper-exp1-real", "paper-exp1-real-orbit"),
    *("paper-exp2-cifar", "paper-exp2-real"),
}
"""Shipped scenarios that a user has to bring data or weights for."""
SHIPPED = [
    name
    for name in scenarios.shipped()
    if name not in NEEDS_FILES and scenarios.load(name).learning is not None
]
IRIDIUM = scenarios.shipped_path("iridium-isl").parent / "iridium-next.tle"
INSTEAD = {
    "doves": {"orbit.path": str(IRIDIUM), "stop.days": 0.1},
    "flystack": {"stop.days": 0.2},
    "flystack-isl": {"stop.days": 0.1},
    "iridium-isl": {"stop.days": 0.1},
    "nmoe-orbit": {
        "stop.days": 0.02,
        "learning.options.extractor_rounds": 2,
        "learning.options.gate_rounds": 2,
    },
    "quickstart-8b": {"learning.sized_as": None},
}
"""What a short timing-only run has in place of files, and of what is for training alone."""
NAMES = {"isl": "ISL"}
"""What directions are called in text, where that is not the word of the table."""
OWN = {
    "windows": IN_ORBIT,
    "planes": WALKER | {"roles": {"server": "stations", "clients": "planes"}},
    "relay": RELAYED,
}


@pytest.fixture(scope="module", params=[*SHIPPED, *OWN])
def run(request, tmp_path_factory):
    """A run, its folder, a file of its scenario, and what directions its roles make of `toward`."""
    place = tmp_path_factory.mktemp("run")
    if request.param in OWN:
        scenario = scenarios.from_dict(OWN[request.param])
    else:
        short = {"learning.train": False, "stop.days": 0.5} | INSTEAD.get(request.param, {})
        scenario = scenarios.load(request.param, short)
    result = sim.run(scenario, place / "run")
    file = place / "mine.yaml"
    file.write_text(yaml.safe_dump(result.manifest["scenario"]))
    return result, place / "run", file, by_geometry(scenario.roles)


def by_geometry(roles):
    if roles.clients == "devices":
        return {"server": "uplink", "client": "downlink"}
    if roles.server == "stations":
        return {"server": "downlink", "client": "uplink"}
    return {"server": "isl", "client": "isl"}


@pytest.mark.quick(8)
def test_a_run_folder_has_the_directions_of_its_transfers(run):
    result, folder, _, expected = run
    moved = result.transfers
    with_server = moved[moved.toward != "peer"]
    with_peers = moved[moved.toward == "peer"]
    assert (with_server.direction == with_server.toward.map(expected)).all()
    assert set(with_peers.direction) <= {"sidelink", "isl"}
    for direction, account in result.manifest["books"].items():
        rows = moved[moved.direction == direction]
        whole = rows[rows.outcome == "delivered"]
        assert account["sent_bytes"] == pytest.approx(rows.delivered_bytes.sum(), rel=1e-12)
        assert account["on_air_bytes"] == pytest.approx(rows.on_air_bytes.sum(), rel=1e-12)
        assert account["delivered_bytes"] == pytest.approx(whole.payload_bytes.sum(), rel=1e-12)
    listed = json.loads((folder / "model" / "payloads.json").read_text())
    largest = {(row["direction"], row["toward"], row["payload"]): row["bytes"] for row in listed}
    assert len(largest) == len(listed)
    for key, rows in moved.groupby(["direction", "toward", "payload"]):
        assert largest[key] >= rows.payload_bytes.max()
    assert all(direction == expected.get(to, direction) for direction, to, _ in largest)
    assert (result.contacts.capacity_direction == expected["server"]).all()
    served = result.contacts[result.contacts.served]
    for direction in ("uplink", "downlink", "isl"):
        known = served[f"{direction}_capacity_bytes_per_device"].notna()
        assert (known == (direction == expected["server"])).all()


@pytest.mark.quick(8)
def test_what_is_shown_has_the_directions_of_the_transfers(run, leomix):
    result, folder, file, expected = run
    moved = result.transfers
    shown = dict(re.findall(r"^(\S+) +(.*)$", leomix("show", folder, "--all").out, re.M))
    for direction, rows in moved.groupby("direction"):
        name = NAMES.get(direction, direction)
        assert shown[name].split(",")[0] == data_size(rows.on_air_bytes.sum())
    validated = leomix("validate", file)
    assert validated.status == 0, validated.err
    said = re.findall(r"^(\w+): a (?:pass|session)\b.* carries", validated.out, re.M)
    assert {*said} <= {*expected.values()}
    # One model in one piece: all that goes this way has the size that is said.
    for direction, size in re.findall(r"^(\w+), the model +(\S+ \wB) ", validated.out, re.M):
        rows = moved[moved.direction == direction]
        assert {data_size(each) for each in rows.payload_bytes} <= {size}
    # What all passes of a mesh carry is not said: its contacts may be in use for others.
    is_mesh = re.search(r"\broute: (?!null)", file.read_text())
    assert is_mesh or expected["server"] in said
