"""Latencies and bytes of inference in closed form: what each group of samples waits for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sim
from tests.kit.learning import HEADER_BYTES
from tests.kit.network import build
from tests.kit.small_nmoe import nmoe, options

ONE_TOWN = {"clusters": [{"name": "A", "devices": 4}]}
ROUND_S = 60.0
SIZE = 4


def asked(link: Any = None, **changes: Any) -> Any:
    """One query of four samples a client; extraction and experts take seconds."""
    said = {"extractor": "none", "inference_samples": SIZE, "inference_batch": SIZE, **changes}
    return nmoe(
        stop={"cycles": 20},
        ground=ONE_TOWN,
        link=link or {},
        compute={"seconds_per_round": ROUND_S},
        learning=options(**said),
    )


def seconds(scenario: Any) -> tuple[float, float]:
    """Of the extraction and routing of a query, and of one expert on one sample."""
    sizes = build(scenario).new_method().sizes
    rate = sizes.extractor_round("ce").flops / ROUND_S
    before = SIZE * (sizes.extractor_flops + sizes.gate_flops) / rate
    return before, sizes.expert_flops / rate


@pytest.mark.parametrize("extractor", ["fedsc", "fedce", "none"])
def test_a_local_answer_takes_extraction_gate_and_expert(extractor: str) -> None:
    """At the rate of one reference round, however the extractor was trained."""
    scenario = asked(gate="local", extractor=extractor)
    before_s, each_s = seconds(scenario)
    rows = sim.run(scenario).inferences
    assert set(rows.outcome) == {"local"}
    assert rows.latency_s.to_numpy() == pytest.approx([before_s + SIZE * each_s] * 4)


def stood_in(rows: Any, begin_s: float, each_s: float, own_first: bool) -> None:
    """Fallbacks of a query are computed one after the other from ``begin_s`` on."""
    for client, own in rows.groupby("device"):
        name, behind = f"A/{int(client)}", begin_s
        local = own[own.experts == name]
        if own_first:
            behind += local.samples.sum() * each_s
        for row in own[own.experts != name].sort_values("experts").itertuples():
            behind += row.samples * each_s
            assert row.outcome == "fallback"
            assert row.latency_s == pytest.approx(behind)


@pytest.mark.parametrize("late", ["renormalise", "local"])
def test_a_deadline_before_the_routing_sends_nothing(late: str) -> None:
    scenario = asked(gate="random", inference_deadline_s=0.1, inference_late=late)
    before_s, each_s = seconds(scenario)
    assert before_s > 0.1
    result = sim.run(scenario)
    rows = result.inferences
    assert rows.sent_bytes.sum() == 0.0
    assert not result.transfers.payload.isin(["feature", "output"]).any()
    assert len(rows[rows.outcome == "fallback"]) > 1
    local = rows[rows.outcome == "local"]
    assert local.latency_s.to_numpy() == pytest.approx(before_s + local.samples * each_s)
    stood_in(rows, before_s, each_s, own_first=True)


def test_each_fallback_is_computed_at_the_deadline() -> None:
    """Whatever else the own expert was asked for in that query; and what was sent counts."""
    link = {"sidelink": {"rate_mbps": 1e-6}}
    scenario = asked(link, gate="random", inference_deadline_s=100.0)
    _, each_s = seconds(scenario)
    rows = sim.run(scenario).inferences
    assert (rows.outcome == "local").any()
    stood_in(rows, 100.0, each_s, own_first=False)
    remote = rows[rows.outcome == "fallback"]
    wanted = remote.samples * 8 * 4 + HEADER_BYTES
    assert remote.sent_bytes.to_numpy() == pytest.approx(wanted.to_numpy())


def test_who_knows_at_once_that_nobody_answers_falls_back_at_once() -> None:
    """A gateway that another slot serves: messages are refused when they are sent."""
    ground = {"clusters": [{"name": "A", "devices": 1}, {"name": "B", "devices": 1}]}
    learning = options(extractor="none", inference_samples=8, gate="random")
    result = sim.run(nmoe(ground=ground, link={"relay": "none"}, learning=learning))
    assert set(result.inferences.outcome) == {"local"}
    faults = result.events[result.events.kind == "fault"]
    assert faults.detail.str.contains("reach nobody else's expert").sum() == 2


def test_failed_samples_are_not_answered() -> None:
    """Without an expert and alone: every query fails, and is counted so."""
    own = [{"devices": 1, "memory_gib": 1e-6}, {"devices": 1}]
    ground = {"clusters": [{"name": "A", "devices": 2, "kinds": own}]}
    link = {"relay": "none", "sidelink": None}
    for gate in ("fedgate", "local", "random"):
        learning = options(extractor="fedce", gate=gate, inference_samples=8)
        result = sim.run(nmoe(ground=ground, link=link, learning=learning))
        rows = result.inferences
        assert rows[rows.device == 0].outcome.tolist() == ["failed"]
        assert rows[rows.device == 0].latency_s.isna().all()
        assert set(rows[rows.device == 1].outcome) == {"local"}
        details = result.events[result.events.kind == "infer"].detail
        [served] = details[details.str.startswith("served")]
        assert served.startswith("served samples:16 answered:8 correct:")


def test_without_an_expert_the_others_answer() -> None:
    own = [{"devices": 1, "memory_gib": 1e-6}, {"devices": 2}]
    ground = {"clusters": [{"name": "A", "devices": 3, "kinds": own}]}
    for late in ("renormalise", "local", "wait"):
        learning = options(gate="random", inference_samples=8, inference_late=late)
        rows = sim.run(nmoe(ground=ground, learning=learning)).inferences
        assert set(rows[rows.device == 0].outcome) == {"complete"}
        assert not rows.experts.str.contains("A/0").any()
    slow = {"sidelink": {"rate_mbps": 1e-6}}
    learning = options(gate="random", inference_samples=8, inference_late="local")
    result = sim.run(nmoe(ground=ground, link=slow, learning=learning))
    rows = result.inferences
    assert set(rows[rows.device == 0].outcome) == {"failed"}
    [told] = result.events.detail[result.events.detail.str.startswith("served", na=False)]
    assert told.startswith("served samples:24 answered:16 correct:")
    assert np.isnan(rows[rows.device == 0].latency_s).all()
