"""`learning.upload: changed`: parts that training has left as they were are not sent.

Which parts these are is counted here in NumPy, from the tensors that the server gets in a run that
sends everything.
"""

from collections import defaultdict
from pkgutil import resolve_name
from unittest.mock import patch

import numpy as np
import pytest
from safetensors.torch import load_file

import sim
from tests.kit.folders import cut
from tests.kit.learning import ClusterState, Receipt
from tests.kit.small import fixed, orbit, slots

AGGREGATE = "learning.clients.merging.aggregate"
"""Through which all goes that the server gets."""
FAST = {"link": fixed(uplink=1e9, downlink=1e9)}
"""A link of all but unlimited speed: the time of a run does not depend on the bytes."""
THREE = {"model": {"experts": 3}, "pretraining": {"backbone_steps": 20, "expert_steps": 60}}
"""Experts that know their own domains, so that clusters leave others as they are."""


def learning(method, upload="changed", **more):
    own = {"steps_per_round": 2, "options": more.pop("options", {})}
    return {"method": method, "upload": upload, **THREE, **own, **more}


def weights_of(folder):
    return load_file(folder / "model" / "model.safetensors")


def same(one, other):
    assert one.keys() == other.keys()
    return all((one[name] == other[name]).all() for name in one)


def up(result):
    rows = result.transfers
    return rows[rows.toward == "server"]


METHODS = {
    "synchronous": {"lora": {"rank": 2, "download": "factors"}},
    "fedavg": {},
    "fedprox": {"options": {"mu": 0.1}},
    "fedopt": {"lora": {"rank": None}},
    "fedbuff": {"rounds": {"per_gap_max": 2}, "options": {"buffer_size": 1}},
    "fedasync": {"rounds": {"per_gap_max": 2}, "trains_backbone": True},
    "emsfl": {"gate_tuning_cycles": 0},
    "emsfl-enhanced": {"trains_backbone": True},
    "aligned": {"options": {"capacity": 2}},
}


OWN_ALONE = ("emsfl", "emsfl-enhanced", "aligned")
"""Methods whose clients train experts of their own: all of them change."""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.quick(3)
def test_the_same_is_learnt_and_what_has_changed_is_sent(method, tmp_path):
    """Bytes per device are four times the numbers of its parts that are not all zero."""
    expected = defaultdict(list)
    own = resolve_name(AGGREGATE)

    def counted(learner, server, offered, experts, weighing, *, gate=False):
        tensors = learner.force(offered)
        for device in np.flatnonzero(weighing.who):
            sizes, moved = defaultdict(int), set()
            for name, tensor in tensors.items():
                words = name.split(".")
                part = words[words.index("expert") + 1] if "expert" in words else "shared"
                sizes[part] += tensor[device].numel()
                if not name.endswith(".a") and tensor[device].count_nonzero():
                    moved.add(part)
            parts = [sizes[part] for part in moved]
            expected[weighing.cluster, device].append(4 * sum(parts))
        return own(learner, server, offered, experts, weighing, gate=gate)

    runs = {}
    for upload in ("all", "changed"):
        said = learning(method, upload, **METHODS[method])
        with patch(AGGREGATE, counted if upload == "all" else own):
            runs[upload] = sim.run(slots(learning=said, **FAST), tmp_path / upload)
    assert same(*(weights_of(tmp_path / upload) for upload in runs))
    sent = [up(run) for run in runs.values()]
    if method != "fedasync":  # its updates are whole models
        rows = sent[1][sent[1].outcome == "delivered"].groupby(["cluster", "device"])
        found = {key: sorted(sizes) for key, sizes in rows.delivered_bytes}
        assert found == {key: sorted(n for n in sizes if n) for key, sizes in expected.items()}
    if method not in OWN_ALONE:
        assert sent[1].delivered_bytes.sum() < sent[0].delivered_bytes.sum()
    down = [run.summary["downlink_bytes"] for run in runs.values()]
    # Where changes go down, there are none of what nobody has sent.
    assert (down[1] < down[0]) if method == "synchronous" else (down[1] == down[0])
    versions = [r.events[r.events.kind == "aggregate"].version.tolist() for r in runs.values()]
    assert versions[0] == versions[1]


def test_a_client_that_has_changed_nothing_reports_without_a_transfer(tmp_path):
    """Steps that are too small for single precision change no matrix."""
    said = learning("synchronous", lora={"rank": None}, step_size=1e-30)
    result = sim.run(slots(learning=said, stop={"cycles": 2}, **FAST), tmp_path / "run")
    assert not len(up(result))
    assert result.summary["uplink_bytes"] == 0
    aggregated = result.events[result.events.kind == "aggregate"]
    assert aggregated.version.tolist() == [1, 2, 3, 4]
    assert aggregated.staleness_high.max() == 0
    assert len(result.tables["updates"]) == 10


def test_a_gate_that_rests_is_not_sent(tmp_path):
    runs = []
    for upload in ("all", "changed"):
        said = learning("emsfl", upload, gate_step_size_ratio=0.0)
        runs.append(sim.run(slots(learning=said, **FAST), tmp_path / upload))
    gates = [set(up(run).payload) for run in runs]
    assert "gate" in gates[0]
    assert "gate" not in gates[1]
    assert same(*(weights_of(tmp_path / upload) for upload in ("all", "changed")))


TWO_KINDS = [{"devices": 1, "lora_rank": 1}, {"devices": 2, "seconds_per_round": 300}]
SLOW = {
    "link": fixed(uplink=2e-5, downlink=1.0),
    "ground": {
        "clusters": [
            {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "kinds": TWO_KINDS},
            {"name": "South", "latitude_deg": -35, "longitude_deg": 150, "devices": 2},
        ]
    },
}
"""Uploads take several passes, and devices differ."""


GAPS = {"options": {"trains": "gaps"}, "rounds": {"per_gap_max": 2}}
"""Uploads behind a gap, not in a chain."""


@pytest.mark.parametrize(
    ("method", "more"), [("synchronous", {}), ("fedavg", {}), ("fedavg-per-cluster", GAPS)]
)
@pytest.mark.quick(1)
def test_what_a_pass_cuts_off_goes_on_in_the_same_size(method, more, tmp_path):
    """Books and bytes of all payloads hold, or the run would fail; so do those after a resume."""
    scenario = orbit(learning=learning(method, **more), **SLOW)
    result = sim.run(scenario, tmp_path / "run")
    rows = up(result)
    carried = rows[rows.outcome == "carried"]
    assert len(carried) > 3
    assert rows[rows.outcome == "delivered"].payload_bytes.nunique() > 1
    again = sim.run(scenario, tmp_path / "again").manifest["trace_sha256"]
    assert again == result.manifest["trace_sha256"]
    place = cut(scenario, tmp_path / "cut", 60)
    resumed = sim.run(scenario, place, resume=True)
    assert resumed.manifest["trace_sha256"] == result.manifest["trace_sha256"]
    assert same(weights_of(place), weights_of(tmp_path / "run"))


def test_what_a_chain_foresees_comes_to_pass(tmp_path):
    """Downloads and rounds by which an upload is measured are those that its devices then have."""
    foreseen, happened = [], []
    own = {name: getattr(ClusterState, name) for name in ("_foresee", "receive", "train")}
    depth = []

    def foresee(self, payload, experts, part, before, *, gate):
        foreseen.extend(
            reply.done.tolist() if isinstance(reply, Receipt) else reply.rounds.tolist()
            for _, reply in before
        )
        depth.append(1)
        made = yield from own["_foresee"](self, payload, experts, part, before, gate=gate)
        depth.pop()
        return made

    def receive(self, receipt):
        if not depth:
            happened.append(receipt.done.tolist())
        own["receive"](self, receipt)

    def train(self, work, experts, **more):
        if not depth:
            happened.append(work.rounds.tolist())
        own["train"](self, work, experts, **more)

    with patch.multiple(ClusterState, _foresee=foresee, receive=receive, train=train):
        sim.run(orbit(learning=learning("synchronous"), **SLOW), tmp_path / "run")
    assert len(foreseen) > 8
    assert len({str(reply) for reply in foreseen}) > 2
    assert foreseen[: len(happened)] == happened


REFUSED = {
    "timing": ({"train": False}, "which parts have changed is only known if they are trained"),
    "scaffold": ({"method": "scaffold", "lora": {"rank": None}}, "control variates change in"),
    "local": ({"method": "local"}, "it sends nothing"),
    "centralised": ({"method": "centralised"}, "it sends nothing"),
    "means": ({"lora": {"aggregate": "average"}}, "means of factors count those of devices"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_where_it_has_no_meaning_it_is_refused_in_one_line(case):
    more, text = REFUSED[case]
    with pytest.raises(sim.InputError, match=f"^learning.upload: .*{text}[^\n]*set it to all"):
        sim.run(slots(learning={"method": "fedavg", "upload": "changed", **more}))
