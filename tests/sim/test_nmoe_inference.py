"""Collaborative inference: what queries send, how long they take, and who answers them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sim
from tests.kit.learning import HEADER_BYTES
from tests.kit.small_nmoe import nmoe, options

ONE_TOWN = {"clusters": [{"name": "A", "devices": 4}]}
ASK = {"extractor": "none", "inference_samples": 12, "inference_batch": 4}
QUICK = {"seconds_per_round": 0.01}
IDLE = {"seconds_per_round": 1e-6}


def asked(ground: Any = ONE_TOWN, link: Any = None, compute: Any = None, **changes: Any) -> Any:
    return nmoe(
        ground=ground,
        link=link or {},
        compute=compute or QUICK,
        learning={**options(**{**ASK, **changes})},
    )


def test_local_experts_send_nothing() -> None:
    result = sim.run(asked(gate="local"))
    assert set(result.inferences.outcome) == {"local"}
    assert result.inferences.samples.sum() == 4 * 12
    assert result.inferences.sent_bytes.sum() == 0.0
    assert not (result.transfers.direction == "sidelink").any()


def test_bytes_of_inference_are_those_of_the_links() -> None:
    """And of the formula: each message has the samples' features or outputs and one header."""
    result = sim.run(asked())
    rows = result.transfers[result.transfers.payload.isin(["feature", "output"])]
    assert rows.delivered_bytes.sum() == pytest.approx(result.inferences.sent_bytes.sum())
    out = rows[rows.payload == "feature"].payload_bytes.to_numpy()
    back = rows[rows.payload == "output"].payload_bytes.to_numpy()
    remote = result.inferences[result.inferences.outcome == "complete"].samples.sum()
    assert 0 < remote < 48
    assert (out - HEADER_BYTES).sum() == pytest.approx(remote * 8 * 4)
    assert (back - HEADER_BYTES).sum() == pytest.approx(remote * 10 * 4)


def test_a_query_takes_two_messages_and_no_more_on_an_idle_network() -> None:
    """With compute that takes no time: bytes x 8 / rate + distance / c, out and back."""
    rows = sim.run(
        asked(compute=IDLE, inference_batch=1, inference_samples=3, inference_interval_s=1000.0)
    ).inferences
    remote = rows[rows.outcome == "complete"]
    out, back = 8 * 4 + HEADER_BYTES, 10 * 4 + HEADER_BYTES
    wanted = (out + back) * 8 / 1e6 + 2 * 300 / 299792458
    assert len(remote)
    assert remote.latency_s.to_numpy() == pytest.approx([wanted] * len(remote), abs=1e-5)
    assert remote.sent_bytes.tolist() == [out + back] * len(remote)


def test_random_routing_asks_the_share_that_it_should() -> None:
    """k = 1 over N clients: n (1 - 1/N) (d b + C b + 2 h) bytes expected, one sample a message."""
    n = 400
    rows = sim.run(asked(gate="random", inference_samples=n, inference_batch=1)).inferences
    each = 8 * 4 + 10 * 4 + 2 * HEADER_BYTES
    wanted = 4 * n * (1 - 1 / 4) * each
    spread = each * np.sqrt(4 * n * 3 / 16)
    assert abs(rows.sent_bytes.sum() - wanted) < 4 * spread


@pytest.mark.parametrize(
    ("late", "outcome"), [("renormalise", "fallback"), ("local", "fallback"), ("wait", "complete")]
)
def test_what_is_late_goes_by_the_policy(late: str, outcome: str) -> None:
    """A sidelink of 10 bit/s: nothing is there by the deadline; who waits gets it in the end."""
    link = {"sidelink": {"rate_mbps": 1e-5}}
    rows = sim.run(
        asked(link=link, inference_late=late, inference_deadline_s=2.0, inference_samples=4)
    ).inferences
    remote = rows[rows.outcome != "local"]
    assert set(remote.outcome) == {outcome}
    if late == "wait":
        assert (remote.latency_s > 60.0).all()
    else:
        # To a rounding of the clock, plus the time of the own expert.
        assert remote.latency_s.to_numpy() == pytest.approx([2.0] * len(remote), abs=1e-3)


def test_some_of_several_experts_are_renormalised() -> None:
    """Top-2: the own expert is in time, the other is not."""
    scenario = nmoe(
        ground={"clusters": [{"name": "A", "devices": 2}]},
        link={"sidelink": {"rate_mbps": 1e-5}},
        compute=QUICK,
        learning={"model": {"top_k": 2}, **options(**ASK, inference_deadline_s=5.0)},
    )
    rows = sim.run(scenario).inferences
    assert set(rows.outcome) == {"renormalised"}
    assert set(rows.experts) == {"A/0,A/1"}
    assert rows.latency_s.to_numpy() == pytest.approx([5.0] * len(rows))


def test_an_isolated_client_answers_by_itself() -> None:
    result = sim.run(asked(link={"relay": "none", "sidelink": None}))
    rows = result.inferences
    assert set(rows.outcome) == {"local"}
    [fault] = result.events[result.events.kind == "fault"].detail
    assert fault == (
        "clients A/0, A/1, A/2, A/3 reach nobody else's expert: they answer by their own expert"
    )
    assert (rows.experts == rows.cluster + "/" + rows.device.astype(int).astype(str)).all()


def test_one_client_alone_is_its_own_network() -> None:
    result = sim.run(asked(ground={"clusters": [{"name": "A", "devices": 1}]}))
    last = result.metrics.iloc[-1]
    assert last.local_ratio == last.local_count_share == last.local_weight_share == 1.0
    assert set(result.inferences.outcome) == {"local"}
    assert not result.transfers.payload.isin(["experts", "feature"]).any()


def test_more_experts_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match=r"learning\.model\.top_k is 5, but there are 4 clients"):
        sim.run(nmoe(ground=ONE_TOWN, learning={"model": {"top_k": 5}}))


def test_k_is_limited_to_the_experts_in_reach() -> None:
    """Top-3 of four, but only two devices reach each other at any time."""
    ground = {"clusters": [{"name": "A", "devices": 2}, {"name": "B", "devices": 2}]}
    learning = {"model": {"top_k": 3}, **options(**ASK)}
    scenario = nmoe(ground=ground, link={"relay": "none"}, compute=QUICK, learning=learning)
    rows = sim.run(scenario).inferences
    assert set(rows.outcome) == {"complete"}
    assert {(c, e) for c, e in zip(rows.cluster, rows.experts, strict=True)} == {
        ("A", "A/0,A/1"),
        ("B", "B/0,B/1"),
    }


def test_what_was_right_is_told_as_it_was_served() -> None:
    """With everything in time, the count of right answers is that of the whole mixture."""
    scenario = asked(gate="local", inference_samples=200, inference_batch=50)
    result = sim.run(scenario)
    rows = result.events[(result.events.kind == "infer") & result.events.device.isna()]
    [detail] = rows.detail
    told = dict(part.split(":") for part in detail.removeprefix("served ").split())
    assert told["samples"] == told["answered"] == "800"
    accuracy = result.metrics[result.metrics.scope == "global"].accuracy.iloc[-1]
    assert int(told["correct"]) / 800 == pytest.approx(accuracy, abs=0.06)


def test_queries_come_at_their_interval() -> None:
    rows = sim.run(asked(inference_interval_s=7.0)).inferences
    for _, own in rows.groupby("device"):
        moments = own.drop_duplicates("batch").sort_values("batch").time_s.to_numpy()
        assert np.diff(moments) == pytest.approx([7.0] * 2)


def test_through_the_satellite_to_another_cluster() -> None:
    """Store and forward in slots: features up in A's slot, down in B's, and the same way back."""
    ground = {"clusters": [{"name": "A", "devices": 1}, {"name": "B", "devices": 1}]}
    learning = options(**ASK, gate="random", inference_late="wait")
    result = sim.run(nmoe(ground=ground, link={"sidelink": None}, learning=learning))
    remote = result.inferences[result.inferences.outcome == "complete"]
    assert len(remote)
    assert (remote.latency_s > 300.0).all()
    relayed = result.transfers[result.transfers.payload == "relay"]
    assert set(relayed.direction) == {"uplink", "downlink"}


def test_a_message_that_no_contact_is_left_for_is_a_failure() -> None:
    """Queries of the last minutes: whoever waits for the other cluster is told so in the end."""
    ground = {"clusters": [{"name": "A", "devices": 1}, {"name": "B", "devices": 1}]}
    asking = {**ASK, "inference_late": "wait", "inference_interval_s": 600.0}
    learning = options(**{**asking, "gate": "random", "inference_samples": 400})
    scenario = nmoe(ground=ground, link={"sidelink": None}, stop={"cycles": 6}, learning=learning)
    rows = sim.run(scenario).inferences
    failed = rows[rows.outcome == "failed"]
    assert len(failed)
    assert failed.latency_s.isna().all()
    assert rows[rows.outcome != "failed"].latency_s.notna().all()
