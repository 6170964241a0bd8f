"""What `-p KEY=SPEC` means, which points a sweep visits, and what is refused before any runs."""

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from sim.errors import InputError
from sim.files import locked
from sim.sweep import sweep
from sim.sweep.join import attempt
from sim.sweep.points import SweepPlan, combinations
from sim.sweep.varied import Axes, read_pairs, read_spec
from tests.kit import small


def listed(text):
    return list(read_spec("key", text))


def combined(pairs):
    return list(combinations(read_pairs(pairs)))


decimals = st.decimals(min_value=-1000, max_value=1000, places=3)
steps = st.decimals(min_value=Decimal("0.001"), max_value=50, places=3)


@given(decimals, steps, st.integers(0, 60), st.decimals(0, Decimal("0.999"), places=3))
def test_a_range_goes_to_its_stop_without_rounding_dust(start, step, count, beyond):
    stop = start + step * count + step * beyond  # beyond less than a step: not one value more
    values = listed(f"{start:f}:{stop:f}:{step:f}")
    assert values == [float(start + step * place) for place in range(count + 1)]
    assert all(isinstance(value, float) for value in values)


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6), st.integers(0, 50))
def test_a_range_of_whole_numbers_is_of_whole_numbers(start, step, count):
    values = listed(f"{start}:{start + step * count}:{step}")
    assert values == list(range(start, start + step * count + 1, step))
    assert all(type(value) is int for value in values)


plain = st.one_of(
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.text(st.characters(min_codepoint=32, max_codepoint=126)),
)
nested = st.recursive(plain, lambda inner: st.lists(inner, max_size=3), max_leaves=6)


@given(st.lists(nested, min_size=1, max_size=5))
def test_items_are_read_as_yaml_and_keep_their_commas(values):
    found = listed(",".join(json.dumps(value) for value in values))
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


def test_what_is_no_range_is_a_text():
    for text in ("2026-08-22T00:00:00Z", "a:b:c", "'1:2:3'", "400:1200:km", "1:2:3:4", "mine:Slow"):
        assert listed(text) == [text.strip("'")]


@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_grid_is_the_product_with_the_last_key_fastest(lists):
    pairs = [f"k{n}={','.join(map(str, values))}" for n, values in enumerate(lists)]
    found = combined(pairs)
    each = [list(dict.fromkeys(values)) for values in lists]
    assert [tuple(values.values()) for values in found] == list(itertools.product(*each))


ALIKE = [("0.1", "1e-1", "0.10"), ("1", "1.0"), ("true",), ("'1'",), ("[1, 2]", "[1.0, 2]")]
"""Values, each written in several ways."""


@given(st.lists(st.sampled_from([text for one in ALIKE for text in one]), min_size=1, max_size=9))
def test_a_combination_comes_once_however_often_its_values_are_given(texts):
    which = [number for text in texts for number, one in enumerate(ALIKE) if text in one]
    found = combined([f"key={','.join(texts)}", "seed=1,1,2"])
    assert len(found) == 2 * len(set(which))
    firsts = [texts[which.index(number)] for number in dict.fromkeys(which)]
    assert [one["key"] for one in found[::2]] == [listed(text)[0] for text in firsts]


# -- points

TIMING = {"learning.train": False}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("points") / "tiny.yaml"
    path.write_text(yaml.safe_dump(small.SLOTS))
    return str(path)


def made(file, *pairs, overrides=TIMING, variants=None, **more):
    axes = Axes.of(read_pairs(pairs), variants)
    plan = SweepPlan(file, {**TIMING, **overrides}, axes, **more)
    count = plan.count
    points = plan.points
    assert len(points) == count
    return points


def test_replications_have_seeds_of_their_own(file):
    found = made(file, "stop.cycles=2,3", replications=3)
    expected = [(2, 0, 3), (2, 1, 4), (2, 2, 5), (3, 0, 3), (3, 1, 4), (3, 2, 5)]
    assert [(p.values["stop.cycles"], p.replication, p.seed) for p in found] == expected
    for number, point in enumerate(found):
        assert point.number == number
        assert scenarios.load(file, point.overrides).seed == point.seed


class Wide(torch.nn.Linear):
    """A module that cannot be made with some widths."""

    def __init__(self, spec, width):
        if width in (5, 7):
            raise RuntimeError(f"no module of width {width}")
        super().__init__(spec.shape[0], spec.classes)


@pytest.mark.parametrize(
    ("widths", "left"), [pytest.param("5,4", 2, marks=pytest.mark.wide), ("5,7", 0)]
)
def test_a_module_that_cannot_be_made_costs_its_points_only_if_asked_to_keep_going(
    tmp_path, widths, left
):
    learning_ = {"method": "fedavg", "model": {"kind": f"{__name__}:Wide"}}
    (tmp_path / "wide.yaml").write_text(yaml.safe_dump({**small.SLOTS, "learning": learning_}))
    swept = (str(tmp_path / "wide.yaml"), f"learning.model.arguments.width={widths}")
    consent = {"learning.model.kind": f"{__name__}:Wide", "learning.train": True}
    why = r"learning\.model\.kind: .*no module of width 5"
    with pytest.raises(InputError, match=why):
        made(*swept, overrides=consent)
    if not left:
        with pytest.raises(InputError, match=why):
            made(*swept, overrides=consent, keep_going=True)
        return
    points = made(*swept, overrides=consent, keep_going=True)
    ended = [attempt(point, tmp_path / point.digest) for point in points]
    for point, outcome in zip(points, ended, strict=True):
        is_made = point.values["learning.model.arguments.width"] not in (5, 7)
        assert outcome.status == ("complete" if is_made else "refused")
        assert is_made or "no module of width 5" in outcome.error


@pytest.mark.process
def test_numbers_of_numpy_are_swept_as_those_of_python(file, tmp_path):
    keys = {
        "learning.step_size": np.logspace(-3, -1, 3)[:1],
        "seed": np.arange(2),
        "stop.cycles": [np.float32(1)],
    }
    overrides = {"learning.train": np.False_, "ground.clusters.0.devices": np.int8(3)}
    variants = {"one": {"learning.batch_size": np.int64(4)}}
    swept = sweep(file, keys, tmp_path / "out", overrides=overrides, variants=variants)
    rows = swept.rows.to_pydict()
    assert rows["status"] == ["complete"] * 2
    assert rows["learning.step_size"] == [0.001] * 2
    assert rows["seed"] == [0, 1]


def test_equal_scenarios_have_one_digest_however_they_are_said(file, tmp_path):
    def digests(file, *pairs, **overrides):
        return [point.digest for point in made(file, *pairs, overrides=overrides)]

    (tmp_path / "other.yaml").write_text(yaml.safe_dump({**small.SLOTS, "description": "a text"}))
    one, other = digests(str(tmp_path / "other.yaml"), "seed=3,4,3")
    assert digests(file, "stop.cycles=3", seed=3) == [one] != [other]
    assert digests(file, "link.uplink.eirp_dbw=1") == digests(file, "link.uplink.eirp_dbw=1.0")
    # Files count by what they hold, and not by where they lie.
    elements = scenarios.orbit_file(scenarios.load("quickstart")).read_text()
    said = yaml.safe_load(scenarios.shipped_path("quickstart").read_text())
    said["orbit"]["path"] = "sky.tle"
    found = []
    for name, text in (("a", elements), ("b", elements), ("c", elements + "\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sky.tle").write_text(text)
        (tmp_path / name / "here.yaml").write_text(yaml.safe_dump(said))
        found += digests(str(tmp_path / name / "here.yaml"), "stop.days=1")
    assert found[0] == found[1] != found[2]


VARIANTS = """
synchronous:
as it is: {}
long visits: {learning.method: synchronous, learning.rounds.per_contact: 2}
"""
SET_BY = {
    "synchronous": {"learning.method": "synchronous"},
    "as it is": {},
    "long visits": {"learning.method": "synchronous", "learning.rounds.per_contact": 2},
}


def test_a_variant_sets_keys_of_its_own_and_is_varied_like_a_value(file, tmp_path):
    (tmp_path / "v.yaml").write_text(VARIANTS)
    found = made(file, "stop.cycles=2,3", variants=tmp_path / "v.yaml", replications=2)
    order = [(n, c, r) for n in SET_BY for c in (2, 3) for r in (0, 1)]
    assert [(*p.values.values(), p.replication) for p in found] == order
    for point in found:
        name, cycles = point.values.values()
        keys = TIMING | SET_BY[name] | {"stop.cycles": cycles, "seed": point.seed}
        assert scenarios.load(point.scenario, point.overrides) == scenarios.load(file, keys)


def test_variants_set_keys_without_a_dot_as_values_of_keys_do(file, tmp_path):
    path = tmp_path / "v.yaml"
    path.write_text("a: {seed: 3}\nb: {start: 2026-08-22T00:00:00Z}\n")
    loaded = [scenarios.load(p.scenario, p.overrides) for p in made(file, variants=path)]
    assert loaded[0] == scenarios.load(file, {**TIMING, "seed": 3})
    assert loaded[1] == scenarios.load(file, {**TIMING, "start": '"2026-08-22T00:00:00Z"'})
    assert [point.seed for point in made(file, variants=path)] == [3, loaded[1].seed]
    refused = pytest.raises(ValueError, match=r"v\.yaml: variant a: seed: replications have see")
    with refused:
        made(file, variants=path, replications=2)


def test_a_lock_that_is_removed_is_held_by_one_at_a_time(tmp_path):
    """However many wait for it while its file comes and goes."""
    inside = []
    most = []

    def hold(_):
        held = 0
        while held < 10:
            with suppress(InputError), locked(tmp_path / "lock", "busy"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()
                held += 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hold, range(4)))
    assert (len(most), max(most)) == (40, 1)
    assert not list(tmp_path.iterdir())
