"""Queries to networked experts in whole runs: bytes, latencies in closed form, and outcomes."""

import numpy as np
import pytest

import sim
from learning.nmoe.inference import HEADER_BYTES
from sim.execution.ready import build
from tests.kit.small_nmoe import nmoe, options

FEATURE = 8 * 4
OUTPUT = 10 * 4
ALONE = {"relay": "none", "sidelink": None}
NO_RELAY = {"relay": "none"}
RANDOM = {"gate": "random"}


def towns(*devices, **more):
    names = zip("AB", devices, strict=False)
    return {"clusters": [{"name": name, "devices": count, **more} for name, count in names]}


def lacking(devices):
    """One town, where device 0 has no memory for an expert."""
    kinds = [{"devices": 1, "memory_gib": 1e-6}, {"devices": devices - 1}]
    return towns(devices, kinds=kinds)


def at(rate_mbps):
    return {"sidelink": {"rate_mbps": rate_mbps}}


def scenario(ground=None, link=(), round_s=0.01, cycles=12, k=1, **said):
    asking = {"extractor": "none", "inference_samples": 12, "inference_batch": 4, **said}
    return nmoe(
        ground=ground or towns(4),
        link=dict(link),
        compute={"seconds_per_round": round_s},
        stop={"cycles": cycles},
        learning={"model": {"top_k": k}, **options(**asking)},
    )


def asked(*arguments, **said):
    """A run and its queries."""
    result = sim.run(scenario(*arguments, **said))
    rows = result.inferences
    assert (rows.latency_s.isna() == (rows.outcome == "failed")).all()
    return result, rows


def test_bytes_of_inference_are_those_of_the_links():
    """And of the formula: each message has the samples' features or outputs and one header."""
    result, asking = asked(inference_interval_s=7.0)
    rows = result.transfers[result.transfers.payload.isin(["feature", "output"])]
    assert rows.delivered_bytes.sum() == pytest.approx(asking.sent_bytes.sum())
    remote = asking[asking.outcome == "complete"].samples.sum()
    assert 0 < remote < 48 == asking.samples.sum()
    for payload, size in (("feature", FEATURE), ("output", OUTPUT)):
        own = rows[rows.payload == payload].payload_bytes
        assert (own - HEADER_BYTES).sum() == pytest.approx(remote * size)
    for _, own in asking.groupby("device"):
        moments = own.drop_duplicates("batch").sort_values("batch").time_s
        assert np.diff(moments) == pytest.approx([7.0] * 2)


def test_a_query_takes_two_messages_and_no_more_on_an_idle_network():
    """With compute that takes no time: bytes x 8 / rate + distance / c, out and back.

    By random routes k = 1 of N clients is another one's expert for a share of 1 - 1/N.
    """
    said = {"gate": "random", "inference_batch": 1, "inference_interval_s": 1000.0, "cycles": 80}
    _, rows = asked(round_s=1e-6, inference_samples=40, **said)
    remote = rows[rows.outcome == "complete"]
    both = FEATURE + OUTPUT + 2 * HEADER_BYTES
    wanted = both * 8 / 1e6 + 2 * 300 / 299792458
    assert remote.latency_s.to_numpy() == pytest.approx([wanted] * len(remote), abs=1e-5)
    assert remote.sent_bytes.tolist() == [both] * len(remote)
    assert abs(len(remote) - 4 * 40 * 3 / 4) < 4 * np.sqrt(4 * 40 * 3 / 16)


@pytest.mark.parametrize(
    ("ground", "link", "said", "outcomes", "span_s"),
    [
        # A sidelink of 10 bit/s: nothing is there by the deadline.
        (towns(4), at(1e-5), RANDOM | {"inference_deadline_s": 2.0}, {"fallback"}, (2, 2.1)),
        # Top-2: the own expert is in time, the other is not.
        (towns(2), at(1e-5), {"k": 2, "inference_deadline_s": 5}, {"renormalised"}, (5, 5 + 1e-6)),
        # Top-3 of four, but only two devices reach each other at any time.
        (towns(2, 2), NO_RELAY, {"k": 3}, {"complete"}, (0, 1)),
        (towns(1), (), {}, set(), (0, 1)),
        (towns(4), ALONE, {}, set(), (0, 1)),
        (towns(1, 1), NO_RELAY, {"gate": "random"}, set(), (0, 1)),
        (lacking(2), ALONE, {"gate": "local"}, {"failed"}, (0, 1)),
        (lacking(3), (), RANDOM, {"complete"}, (0, 1)),
        (lacking(3), at(1e-6), RANDOM, {"failed", "fallback"}, (60, 61)),
    ],
)
def test_how_queries_end(ground, link, said, outcomes, span_s):
    """Beside those that the own expert answers alone."""
    result, rows = asked(ground, link, **said)
    remote = rows[rows.outcome != "local"]
    assert set(remote.outcome) == outcomes
    assert remote[remote.outcome != "failed"].latency_s.between(*span_s).all()
    if ground in (lacking(2), lacking(3)):
        assert not rows.experts.str.contains("A/0").any()
        assert set(rows[rows.device == 0].outcome) == outcomes - {"fallback"}
    elif not outcomes:
        assert result.metrics.iloc[-1].local_reach_ratio == 1.0


# -- latencies: queries of four samples, of which extraction and experts take seconds

SLOW = {"round_s": 60.0, "inference_interval_s": 1000.0, "cycles": 30}


def seconds(**said):
    """Of the extraction and routing of a query, and of one expert on one sample."""
    sizes = build(scenario(**SLOW, **said)).new_method().sizes
    rate = sizes.extractor_round("ce").flops / 60.0
    return 4 * (
        sizes.forward_flops(sizes.extractor) + sizes.forward_flops(sizes.gate)
    ) / rate, sizes.forward_flops(sizes.expert) / rate


@pytest.mark.parametrize("extractor", ["fedsc", "none"])
def test_a_local_answer_takes_extraction_gate_and_expert(extractor):
    """At the rate of one reference round, however the extractor was trained."""
    said = {"gate": "local", "extractor": extractor}
    (before_s, each_s), (_, rows) = seconds(**said), asked(**SLOW, **said)
    assert set(rows.outcome) == {"local"}
    assert rows.latency_s.to_numpy() == pytest.approx([before_s + 4 * each_s] * 12)
