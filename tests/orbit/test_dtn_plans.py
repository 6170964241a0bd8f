"""Contact plans of ION and HDTN, read as windows with rates and light time."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit
from tests.kit.skies import refused

START = datetime(2026, 8, 22, 12, tzinfo=UTC)
OTHERS = {"2": "A", "3": "B"}
NAMES = {"1": "ISS", **OTHERS}
ION = """\
# node 1 "X"
1 1 ''
s
a contact +10 +70 2 1 1000
a contact +70 +90 2 1 2000 0.9
a contact +10 +90 1 2 500 1.0

a range +0 +80 1 2 1
a contact 2026/08/22-13:00:00 2026/08/22-13:10:00 3 1 100
@ 2026/08/22-14:00:00
a contact +0 +60 1 3 250
a contact +0 +60 2 3 250
a contact +0 +60 1 1 250
m horizon +0
"""


def _pieces(found):
    names = zip(found.file.windows.satellite, found.file.windows.site, strict=True)
    return [
        (found.file.satellites[a], found.file.sites[b], *pieces)
        for (a, b), pieces in zip(names, found.pieces, strict=True)
    ]


REGIONS = """\
^ 1
a contact -1 -1 1 1 0
a contact 0 0 1 2 0
m home 1
a contact +10 +70 2 1 1000
"""
HDTN = [
    {"contact": 0, "source": 2, "dest": 1, "startTime": 10, "endTime": 70, "rateBitsPerSec": 8000,
     "owlt": 1},
    {"contact": 1, "source": 1, "dest": 2, "startTime": 10, "endTime": 70, "rate": 16, "owlt": 1},
    {"contact": 2, "source": 2, "dest": 1, "startTime": 10, "endTime": 70, "rateBitsPerSec": 8000,
     "owlt": 1, "finalDestination": 9},
    {"source": 2, "dest": 1, "startTime": START.timestamp() + 90, "rate": 5,
     "endTime": START.timestamp() + 91.5},
]  # fmt: skip
TWO = [("ISS", "A", [10, 70], [8000], [16], [1]), ("ISS", "A", [90, 91.5], [5], [0], [0])]
PLANS = {
    "ION": (
        ION, {"X": "ISS", **OTHERS},
        [
            ("ISS", "A", [10, 70, 90], [8000, 16000], [4000, 4000], [1, 1]),
            ("ISS", "B", [3600, 4200], [800], [0], [0]),
            ("ISS", "B", [7200, 7260], [0], [2000], [0]),
        ],
        ("m horizon", "confidence below 1", "itself (ISS and ISS)", "places (A and B)"),
    ),
    "ION, regions": (
        REGIONS, {"1": "ISS", "2": "A"}, [("ISS", "A", [10, 70], [8000], [0], [0])],
        ("^ 1", "a contact of registration", "a contact of discovery", "m home"),
    ),
    "HDTN": (json.dumps({"contacts": HDTN}), {"1": "ISS", "2": "A"}, TWO, ()),
    "HDTN, a list": ("\ufeff" + json.dumps(HDTN, indent=2), {"1": "ISS", "2": "A"}, TWO, ()),
}  # fmt: skip


@pytest.mark.parametrize(("text", "names", "pieces", "aside"), PLANS.values(), ids=PLANS)
def test_contacts_are_windows_with_rates_and_light_time(text, names, pieces, aside):
    assert orbit.is_contact_plan(text)
    contacts = orbit.parse_contact_plan(text, "p", START, names)
    found = orbit.plan_windows(contacts, ["A", "B"][: 1 + (text is ION)])
    assert _pieces(found) == pieces
    least_km = [299792.458 if lights[0] else np.nan for *_, lights in pieces]
    np.testing.assert_allclose(found.file.windows.min_slant_range_km, least_km)
    assert all(words in " ".join(found.aside) for words in aside)


def test_a_plan_of_hdtn_may_have_a_start_and_names_of_its_own():
    named = {"start": START.isoformat(), "nodes": {"1": "ISS", "2": "A"}, "contacts": HDTN[:2]}
    contacts = orbit.parse_contact_plan(json.dumps(named), start=START - timedelta(seconds=5))
    assert _pieces(orbit.plan_windows(contacts, ["A"]))[0][2] == [15, 75]


LINES = (
    ("a contact +10 +70 2 1", "6 words, but a contact is `a contact START END FROM TO RATE`"),
    ("a contact +10 +70 2 1 fast", "rate 'fast' is not a number from 0; give bytes per second"),
    ("a contact +10 +70 2 1 -5", "rate '-5' is not a number from 0"),
    ("a contact +70 +10 2 1 5", "ends at 10.0, not after its start 70.0"),
    ("a contact 10 +70 2 1 5", "time '10' is neither .SECONDS nor like 2026/08/22-12:00:00"),
    ("a contact 2026/02/30-00:00:00 +70 2 1 5", "day is out of range"),
    ("a contact +10 2026/02/20-00:00:00 2 1 5", "has a date and a time after the reference"),
    ("a range +10 +70 2 1 near", "range 'near' is not a number from 0; give light seconds"),
    ("a contact +30 +80 2 1 1000", "the contact from 'A' to 'ISS' overlaps that of line 3"),
    ("@ +5", "@ has no date; write it like @ 2026/08/22-12:00:00"),
    ("contact 1 2 3", "'contact' is no command of ionadmin; remove the line"),
)
ITEMS = (
    ({"rateBitsPerSec": None}, "rateBitsPerSec is missing; add it"),
    ({"endTime": 5}, "ends at 5.0, not after its start 10.0"),
    ({"source": None}, "source is missing"),
    ({"owlt": "far"}, "owlt 'far' is not a number"),
    ({"startTime": True}, "startTime True is not a number"),
    ({"endTime": 1787401155000}, "endTime 1787401155000 is beyond 2156 .* in milliseconds, give s"),
    ({"startTime": "1787400783000.5"}, "startTime '1787400783000.5' is beyond 2156 in seconds"),
    ({"startTime": 1787400783, "endTime": 1787401155000000}, "endTime 1787401155000000 is beyond"),
    ({"startTime": 1787400783, "endTime": 9e9}, "endTime 9000000000.0 is beyond 2156"),
)
WHOLE = ION.splitlines()[1:]
WRONG = [
    *(("\n".join([*WHOLE[:8], line, *WHOLE[8:]]), f"9: .*{words}", 7) for line, words in LINES),
    *((json.dumps([*HDTN[:2], HDTN[0] | change]).replace("}, {", "},\n{"), f"3: {words}", 2)
      for change, words in ITEMS),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words", "right"), WRONG)
def test_a_wrong_contact_is_told_by_its_line_and_can_be_left_out(text, words, right):
    names = NAMES if right == 7 else None
    refused(rf"^p:{words}", orbit.parse_contact_plan, text, "p", START, names)
    bad = []
    kept = orbit.parse_contact_plan(text, "p", START, names, bad.append)
    assert (len(bad), len(kept.line)) == (1, right)


AS_CSV = "give passes as a CSV table with the columns satellite, site, rise_utc, set_utc"
PASSES = (
    [{"start": "2026-08-22T12:13:03Z", "end": "2026-08-22T12:19:15Z", "ground_station": 1}],
    {"contactList": [{"startTime": 1, "endTime": 2, "groundStation": "A", "satelliteArn": "x"}]},
    [{"startTime": 1787400783, "endTime": 1787401155, "groundStation": "A"}],
    {"results": [{"rise": "2026-08-22T12:13:03Z", "set": "2026-08-22T12:19:15Z"}]}, {"a": 1},
)  # fmt: skip
NO_PLANS = (
    ("{", "broken JSON at line 1, column 2: Expecting property name"),
    ("a contact +1 +2 1 2 5\na contact 2026/08/22-12:00:00 2026/08/22-12:10:00 1 2 5", "cou"),
    ("# nothing\n", "no contacts found"),
    *((json.dumps(passes), f"JSON without a list of contacts .*{AS_CSV}") for passes in PASSES),
)


@pytest.mark.parametrize(("text", "words"), NO_PLANS)
def test_what_is_no_plan_is_refused(text, words):
    refused(f"p:1: {words}", orbit.parse_contact_plan, text, "p")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a contact -1 +3600 1 2 50000", r"but a contact of registration \(start -1\)"),
        ("a contact +0 0 1 2 50000", r"but a contact of discovery \(end 0\)"),
        ("a range +0 +3600 1 2 1", "give a plan"),
    ],
)
def test_a_plan_without_contacts_says_so_and_blames_no_name(line, words):
    refused(rf"^p:1: no contacts found.*{words}", orbit.parse_contact_plan, line, "p", START, NAMES)


def test_a_plan_whose_contacts_all_have_a_rate_of_0_says_so_and_blames_no_name():
    text = "a contact +0 +3600 1 2 0\na contact +0 +3600 2 1 0\n"
    closed = orbit.parse_contact_plan(text, "p", START, {"1": "ISS", "2": "A"})
    words = "^all contacts of the plan {} have a rate of 0; give the rate of some, above 0$"
    refused(words.format("with A"), orbit.plan_windows, closed, ["A"])
    refused(words.format("between two satellites"), orbit.isls_of_plan, closed, ["A", "ISS"])


@pytest.mark.parametrize("separator", [", ", ",\n"])
def test_contacts_of_json_are_told_apart_where_several_stand_on_a_line(separator):
    """By their numbers, from 1; by their lines where each has its own."""
    alike = {"source": 1, "dest": 2, "rate": 1000}
    spans = [(0, 120), (200, 300), (60, 190)]
    items = [json.dumps({**alike, "startTime": a, "endTime": b}) for a, b in spans]
    text = f'{{"contacts": [{separator.join(items)}]}}'
    places = ("contact 3", "contact 1") if separator == ", " else ("3", "that of line 1")
    words = f"^p:{places[0]}: the contact from '1' to '2' overlaps {places[1]}; merge"
    refused(words, orbit.parse_contact_plan, text, "p", START)
    late = text.replace('"endTime": 190', '"endTime": 5')
    refused(rf"^p:{places[0]}: ends at 5.0", orbit.parse_contact_plan, late, "p", START)


LIGHT_KM_S = 299_792.458


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(0, 4))
def test_ranges_are_those_of_the_light_times_that_are_known(light_s, first):
    """In any order; pieces that are over before the start do not count."""
    rates = [f"a contact +{60 * n} +{60 * n + 60} 1 2 1000" for n in range(len(light_s))]
    ranges = [f"a range +{60 * n} +{60 * n + 60} 1 2 {s}" for n, s in enumerate(light_s)]
    first = min(first, len(light_s) - 1)
    text = "\n".join(["@ 2026/08/22-12:00:00", *rates, *ranges])
    contacts = orbit.parse_contact_plan(text, "p", START + timedelta(seconds=60 * first))
    known_km = [LIGHT_KM_S * s for s in light_s[first:] if s]
    least_km, most_km = (min(known_km), max(known_km)) if known_km else (np.nan, np.nan)
    windows = orbit.plan_windows(contacts, ["1"]).file.windows
    np.testing.assert_equal(windows.min_slant_range_km, [least_km])
    at_rise_km = LIGHT_KM_S * light_s[first] if light_s[first] else np.nan
    np.testing.assert_equal(windows.rise_slant_range_km, [at_rise_km])
    links = orbit.isls_of_plan(contacts, ["1", "2"]).windows
    np.testing.assert_equal(links.min_range_km, [least_km])
    np.testing.assert_equal(links.max_range_km, [most_km])


def test_names_that_no_node_has_and_tables_are_no_plans():
    words = "p:1: names: '7' is no node here; there are '1', '2', '3'"
    refused(words, orbit.parse_contact_plan, ION[15:], "p", START, {"7": "A"})
    contacts = orbit.parse_contact_plan(ION, "p", START)
    refused("no contact of the plan is with Bern", orbit.plan_windows, contacts, ["Bern"])
    assert not orbit.is_contact_plan("site,rise_utc,set_utc\n")
    assert not orbit.is_contact_plan("a,rise_utc,set_utc\n")


SPANS = st.sets(st.integers(0, 20), max_size=8).map(sorted)


@given(st.data())
def test_windows_are_what_both_directions_cover_second_by_second(data):
    lines = []
    bps = np.zeros((2, 2, 2, 20))  # satellite, site, whether down, second
    for satellite, site, down in np.ndindex(2, 2, 2):
        edges = data.draw(SPANS)
        for begin, end in pairwise(edges):
            if data.draw(st.booleans()):
                rate = data.draw(st.integers(1, 3))
                ends = (satellite + 1, site + 3)[:: 1 if down else -1]
                lines.append(f"a contact +{begin} +{end} {ends[0]} {ends[1]} {rate}")
                bps[satellite, site, down, begin:end] = 8 * rate
    if not lines:
        return
    found = orbit.plan_windows(orbit.parse_contact_plan("\n".join(lines)), ["3", "4"])
    told = np.zeros_like(bps)
    for satellite, site, edges, up_bps, down_bps, _ in _pieces(found):
        for k, (begin, end) in enumerate(pairwise(edges)):
            seconds = slice(int(begin), int(end))
            told[int(satellite) - 1, int(site) - 3, :, seconds] += [[up_bps[k]], [down_bps[k]]]
    np.testing.assert_array_equal(told, bps)
    covered = np.pad(bps.any(axis=2), ((0, 0), (0, 0), (1, 0)))
    assert len(found.pieces) == (np.diff(covered.astype(int), axis=-1) > 0).sum()


NAMED = json.dumps({"start": START.isoformat(), "nodes": {"1": "X"}, "contacts": HDTN})
JUNK = st.sampled_from(
    ["", "\0", "-", "9" * 30, "nan", "{", "[", '"', "null", "1e400", "+", "@ ", "a "]
)


@given(st.sampled_from([ION, NAMED]), st.data())
def test_a_damaged_plan_is_read_or_refused_in_one_line(text, data):
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text)))
        text = text[:place] + data.draw(JUNK) + text[place + data.draw(st.integers(0, 5)) :]
    for on_bad in (None, lambda _: None):
        try:
            orbit.plan_windows(orbit.parse_contact_plan(text, "p", on_bad=on_bad), ["2"])
        except ValueError as error:
            assert "\n" not in str(error)
