"""Figures and pictures of networked experts and of client-expert alignment, from tables by hand."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

import sim
from tests.kit import small
from tests.kit.handmade import tables_of
from tests.kit.inner import sim as inner


def assignments(*rounds):
    rows = [
        {"time_s": time_s, "cluster": "osaka", "device": client, "expert": expert}
        | {key: values[client, expert].item() for key, values in columns.items()}
        for time_s, columns in rounds
        for client, expert in np.ndindex(columns["relevance"].shape)
    ]
    return tables_of(assignments=rows)["assignments"]


@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(1e-4, 1e4)), min_size=1, max_size=30),
    st.integers(0, 5),
)
def test_latency_counts_every_answered_sample_once(groups, failed):
    keys = ("samples", "latency_s", "sent_bytes", "outcome", "correct")
    each = [(count, latency_s, 10.0, "local", count // 2) for count, latency_s in groups]
    each += [(failed, float("nan"), 7.0, "failed", 0)] if failed else []
    rows = [dict(zip(keys, row, strict=True)) for row in each]
    found = inner.inference_figures(tables_of(inferences=rows)["inferences"])
    each = np.repeat([latency for _, latency in groups], [count for count, _ in groups])
    assert found == {
        "samples": len(each) + failed,
        "outcomes": {**({"failed": failed} if failed else {}), "local": len(each)},
        "latency_mean_s": pytest.approx(each.mean()),
        # The nearest-rank definition: the ceil(0.95 n)-th smallest.
        "latency_p95_s": np.sort(each)[-(-95 * len(each) // 100) - 1],
        "accuracy": sum(count // 2 for count, _ in groups) / (len(each) + failed),
        "sent_bytes": 10.0 * len(groups) + 7.0 * bool(failed),
    }


def test_answers_of_others_have_percentiles_by_nearest_rank_and_the_parts_that_they_are_made_of():
    """Forty answers of 1 to 40 s over one or two links, and two that never came."""
    parts = ("propagation", "transmission", "window", "queue")
    rows = []
    for number in range(40):
        row = {"time_s": 0.0, "request_hops": 1 + number % 2, "latency_s": 1.0 + number}
        row |= {f"request_{part}_s": 0.1 * n for n, part in enumerate(parts, 1)}
        row |= {f"answer_{part}_s": 1.0 * n for n, part in enumerate(parts, 1)}
        rows.append(row | {"computing_s": float(number)})
    answers = tables_of(answers=[*rows, {"time_s": 1.0}, {"time_s": 2.0}])["answers"]
    tables = {**tables_of(), "answers": answers}
    learning = {"learning": {"steps_per_round": 1}}
    manifest = {"method": "fedavg", "simulated_s": 9.0, "scenario": learning}
    found = sim.Result(tables, manifest).summary["answers"]
    assert (found["asked"], found["lost"]) == (42, 2)
    every, one, two = found["latencies"]
    assert [each["hops"] for each in (every, one, two)] == [None, 1, 2]
    assert (every["answers"], one["answers"], two["answers"]) == (40, 20, 20)
    assert (every["median_s"], every["p95_s"], every["most_s"]) == (20.0, 38.0, 40.0)
    assert (one["median_s"], one["p95_s"], one["most_s"]) == (19.0, 37.0, 39.0)  # 1, 3, ... 39
    wanted = {part: 1.1 * n for n, part in enumerate(parts, 1)} | {"computing": 19.5}
    assert every["parts_s"] == pytest.approx(wanted)
    assert every["range_km"] == pytest.approx(29_979.2458)


def test_the_gating_pattern_is_the_last_one_measured():
    early = np.eye(3)
    late = np.array([[0.5, 0.5, 0.0], [0.2, 0.8, 0.0], [0.0, 1.0, 0.0]])
    both = ((1.0, early), (2.0, late))
    rounds = assignments(*((at_s, {"relevance": p, "probability": p}) for at_s, p in both))
    names, pattern = inner.gating_pattern(rounds)
    np.testing.assert_array_equal(pattern, late)
    row = inner.pattern_text(names, pattern).splitlines()[1]
    assert row.split() == ["0", "osaka/0", "50", "%", "50", "%"]
    result = sim.Result({**tables_of(), "assignments": rounds}, {"method": "", "simulated_s": 3.0})
    assert "43.3 %" in result.plot.gating().get_title()  # (0.5 + 0.8 + 0.0) / 3 is kept at home
    # Use of experts is that of all clients together.
    found = inner.utilisation(rounds)
    share = late.mean(axis=0)
    assert found["share"] == pytest.approx(share)
    assert (found["variation"], found["unused"]) == (pytest.approx(share.std() * 3), 1)


def test_alignment_figures_are_means_over_rounds():
    fitness = np.array([[0.9, 0.1], [0.6, 0.4]])
    greedy = np.array([[True, False], [True, False]])
    none = np.zeros((2, 2), np.int64)
    served = np.array([[30, 0], [10, 0]])
    first = {"relevance": fitness, "assigned": greedy, "samples": none}
    second = {"relevance": fitness, "assigned": np.eye(2, dtype=bool), "samples": served}
    found = inner.alignment_figures(assignments((0.0, first), (5.0, second)))
    wanted = {
        "rounds": 2,
        "assignment_variation": (1.0 + 0.0) / 2,
        "sample_variation": 1.0,
        "jain_index": 0.5,
        "sample_peak": 40 / ((40 + 0) / 2),
        "fitness_mean": ((0.9 + 0.6) / 2 + (0.9 + 0.4) / 2) / 2,
        "fitness_last": 0.65,
    }
    assert {key: found[key] for key in wanted} == pytest.approx(wanted)


@given(arrays(np.int64, st.integers(1, 20), elements=st.integers(0, 50)))
def test_figures_of_load(load):
    found = inner.variation(load), inner.peak(load), inner.jain_index(load)
    if not load.any():
        assert found == (0.0, 1.0, 1.0)
        return
    numbers = load.tolist()
    mean = sum(numbers) / len(numbers)
    squares = sum(x * x for x in numbers)
    jain = sum(numbers) ** 2 / (len(numbers) * squares)
    assert found == pytest.approx((float(stats.variation(load)), max(numbers) / mean, jain))


def test_a_folder_of_another_form_is_refused_in_a_line(leomix, runs, tmp_path):
    """Of an earlier or later version by its manifest, and of this one that lacks a column."""
    place = runs.copy("slots-timing", tmp_path)
    metrics = sim.load(place).tables["metrics"].drop_columns(["f1"])
    pq.write_table(metrics, place / "metrics.parquet")
    manifest = json.loads((place / "manifest.json").read_text())
    manifest.pop("checksums", None)
    others = [(version, f"is of leomix {version}, whose") for version in ("0.2.0", "0.4.0")]
    for version, says in (("0.3.0", "it has no 'f1'"), *others):
        manifest["versions"]["leomix"] = version
        (place / "manifest.json").write_text(json.dumps(manifest))
        done = leomix("show", place, "--all")
        assert (done.status, done.err.count("\n"), says in done.err) == (2, 1, True), done


def curve(*accuracies):
    return [inner.Evaluation(a, None, n, n, None, None, None) for n, a in enumerate(accuracies)]


def test_targets_are_levels_that_the_runs_reach():
    assert inner.levels([]) == inner.levels([[], curve(0.3)]) == ()
    assert inner.levels([curve(0.27, 0.313, 0.3)]) == (0.28, 0.29, 0.3, 0.31)
    # The five highest of any, and the highest that both have reached.
    both = [curve(0.25, 0.91), curve(0.25, 0.63)]
    assert inner.levels(both) == (0.6, 0.7, 0.75, 0.8, 0.85, 0.9)


@pytest.mark.wide
def test_targets_that_a_scenario_names_are_those_of_runs_comparisons_and_sweeps(runs, tmp_path):
    asked = [0.05, 0.125, 0.99]
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(small.SLOTS))
    sets = {"learning.targets": str(asked)}
    swept = sim.sweep.sweep(tmp_path / "s.yaml", {"seed": [3]}, tmp_path / "sweep", overrides=sets)
    run = sim.load(swept.folders[0])
    rows = run.metrics[run.metrics.scope == "global"]
    first = {t: rows[rows.accuracy >= t].cycle.min() for t in asked}
    own = {name: found and found["cycles"] for name, found in run.summary["targets"].items()}
    assert own == {"0.05": first[0.05], "0.125": first[0.125], "0.99": None}
    [row] = swept.rows.to_pylist()
    assert {n: row[f"cycles_to_{n}"] for n in own} == own and "cycles_to_0.75" not in row
    compared = sim.compare([run.folder, runs["slots"]])  # of which one names them
    columns = [row["figure"] for row in compared["rows"] if row["figure"].startswith("hours_to")]
    assert columns == ["hours_to_0.05", "hours_to_0.125"] and compared["shared_target"] == "0.125"
    assert run.manifest["trace_sha256"] == runs.result("slots").manifest["trace_sha256"]
