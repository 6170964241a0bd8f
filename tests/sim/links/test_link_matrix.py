"""Every key of ``link:`` that is accepted changes the budget, a pass, doubts or transfers."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest

import scenarios
from tests.kit.handmade import download, talk, upload
from tests.kit.link_cells import FEWER, FORMS, KEYS, PLACES, cells, refusals, scenario_of
from tests.kit.worlds import budget, make_plan, one_pass


def outputs(scenario):
    """The cheapest first."""
    yield from (one.tables for one in budget(scenario))
    plan = make_plan(scenario)
    yield plan.doubts
    if scenario.orbit.source == "circular":
        yield one_pass(scenario, 0).tables
    steps = [*download(3e5), *upload(2e5)]
    said = talk(plan.contacts, [steps], scenario.link.cut_transfers, plan=plan)
    yield said.rows("device", "direction", "start_s", "end_s", "outcome")


def the_same(one, other):
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(the_same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) and one.dtype.kind == "f":
        return np.array_equal(one, other, equal_nan=True)
    return bool(np.array_equal(np.asarray(one, object), np.asarray(other, object)))


@cache
def plain_outputs(form):
    return list(outputs(scenario_of(*form[:2], FORMS[form[2]])))


def changes(form, key, value):
    changed = outputs(scenario_of(*form[:2], {**FORMS[form[2]], key: value}))
    pairs = zip(plain_outputs(form), changed, strict=False)
    return any(not the_same(one, other) for one, other in pairs)


def tried(form):
    """Keys and values that a form accepts, but those that it has anyway."""
    has = scenarios.resolved_link(scenario_of(*form[:2], FORMS[form[2]]))[form[1]]
    for key, value, refused in cells(*form):
        if not (refused or has.get(key) == value):
            yield key, value


HELD = [
    (place, side, name)
    for place in PLACES for side in KEYS for name in FEWER.get(place, FORMS)
    if not refusals(place, side, FORMS[name])
]  # fmt: skip


@pytest.mark.wide
@pytest.mark.parametrize("form", HELD, ids="-".join)
def test_every_key_that_a_form_accepts_changes_something(form, pytestconfig):
    if form[2] == "computed air":
        pytest.importorskip("itur")
    cells = list(tried(form))
    all_of = pytestconfig.getoption("--deep") or form[2] == "plain" or form[0] != "country"
    few = slice(None, None, 1 if all_of else 3)
    assert not [(key, value) for key, value in cells[few] if not changes(form, key, value)]


def test_every_key_of_the_schema_is_in_a_form_that_accepts_it():
    """So that the test above is about it."""
    for side in KEYS:
        accepted = {key for form in HELD if form[1] == side for key, _ in tried(form)}
        assert accepted == KEYS[side].keys()
