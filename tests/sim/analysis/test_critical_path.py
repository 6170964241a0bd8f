"""Where simulated time went: the parts are those of the definition, and sum up to the time."""

import html
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sim
from sim.page import report
from tests.kit.handmade import tables_of
from tests.kit.inner.sim import Part, percent

PARTS = (Part.SENDING, Part.PASS_TAKEN, Part.TRAINING, Part.PASS_AWAITED)


def run_of(end_s, **rows):
    """A run of tables that have these rows."""
    return sim.Result(tables_of(**rows), {"method": "", "simulated_s": end_s})


def spent(*parts_s):
    """Seconds of transmitting, queueing, training and waiting, by part."""
    return dict(zip(PARTS, parts_s, strict=True))


def contact(number, cluster, rise_s, set_s, *service):
    row = {"contact_id": number, "cluster": cluster, "rise_s": rise_s, "set_s": set_s}
    row["served"] = bool(service)
    return row | dict(zip(("service_start_s", "service_end_s"), service, strict=False))


def event(time_s, kind, cluster, **more):
    return {"time_s": time_s, "kind": kind, "cluster": cluster, **more}


def complete(cycle, time_s):
    return {"cycle": cycle, "time_s": time_s, "scope": "global"}


def test_of_clusters_that_part_at_once_the_one_served_least_often_completes_the_cycle():
    parting = [event(time_s, "disconnect", name) for time_s, name in ((5, "Z"), (9, "A"), (9, "Z"))]
    path = run_of(9.0, events=parting, metrics=[complete(1, 9)]).critical_path
    assert [cycle.client for cycle in path.paths] == ["A"]
    nothing = run_of(0.0)
    assert (nothing.client_times, nothing.critical_path.parts_s) == ({}, {})


def test_of_clusters_that_part_at_once_and_were_served_as_often_the_last_by_name_counts():
    for order in ("ABZ", "ZBA"):
        parting = [event(9, "disconnect", name) for name in order]
        path = run_of(9.0, events=parting, metrics=[complete(1, 9)]).critical_path
        assert [cycle.client for cycle in path.paths] == ["Z"]


SPAN_S = 60
SPANS = st.tuples(st.integers(0, SPAN_S + 5), st.integers(0, 20)).map(lambda s: (s[0], s[0] + s[1]))
DONE = st.tuples(*(st.lists(SPANS, max_size=most) for most in (6, 2, 6, 4, 4)))
"""What a cluster sends to the server and to the other cluster, trains, and its services or none."""
PARTINGS = st.dictionaries(st.integers(1, SPAN_S), st.sampled_from("AB"), max_size=4)


@given(DONE, DONE, PARTINGS.map(lambda partings: sorted(partings.items())))
def test_every_second_counts_once_and_where_the_definition_says(of_a, of_b, partings):
    """Against a count second by second: all spans begin and end on whole ones.

    What is sent to a peer occupies both; another satellite's beam ends the wait for one.
    """
    contacts = []
    transfers = []
    events = [event(time_s, "disconnect", name) for time_s, name in partings]
    done = {"A": of_a, "B": of_b}
    for name, (sends, shares, trains, served, beamless) in done.items():
        first = 1000 * ord(name)
        contacts += [contact(first + n, name, *span, *span) for n, span in enumerate(served)]
        contacts += [contact(first + 100 + n, name, *span) for n, span in enumerate(beamless)]
        sent = [(span, None) for span in sends] + [(span, "AB".strip(name)) for span in shares]
        transfers += [
            {"cluster": name, "start_s": begin, "end_s": end, "peer": peer and f"{peer}/7"}
            for (begin, end), peer in sent
        ]
        for n, (begin, _) in enumerate(beamless):
            events.append(event(begin, "wait", name, contact_id=first + 100 + n, cause="beam"))
        for device, (begin, end) in enumerate(trains):
            events.append(event(begin, "train_start", name, device=device))
            events.append(event(end, "train_end", name, device=device))
    events.sort(key=lambda row: float(row["time_s"]))
    # What is measured again behind the last cycle does not complete it again.
    metrics = [complete(n + 1, time_s) for n, (time_s, _) in enumerate(partings)]
    metrics.append(complete(len(partings), SPAN_S))
    run = run_of(
        float(SPAN_S), contacts=contacts, transfers=transfers, events=events, metrics=metrics
    )
    path = run.critical_path

    def within(second, spans):
        return any(begin <= second < end for begin, end in spans)

    def doing(name, second):
        sends, _, trains, served, beamless = done[name]
        if within(second, [*sends, *of_a[1], *of_b[1]]):
            return 0
        if within(second, beamless) and not within(second, served):
            return 1
        return 2 if within(second, trains) else 3

    def counted(name, begin, end):
        found = [doing(name, second) for second in range(begin, end)]
        return spent(*(float(found.count(what)) for what in range(4)))

    for name, parts_s in run.client_times.items():
        assert parts_s == counted(name, 0, SPAN_S)
    begins = [0, *(time_s for time_s, _ in partings)]
    assert [(c.client, spent_on(c)) for c in path.paths] == [
        (name, counted(name, begin, end))
        for begin, (end, name) in zip(begins, partings, strict=False)
    ]
    assert sum(path.parts_s.values()) == path.end_s == max(dict(partings), default=0)


def spent_on(cycle):
    """Seconds of a cycle by part; its stretches follow each other."""
    assert all(a.end_s == b.begin_s for a, b in itertools.pairwise(cycle.stretches))
    parts_s = dict.fromkeys(PARTS, 0.0)
    for stretch in cycle.stretches:
        parts_s[stretch.part] += stretch.end_s - stretch.begin_s
    return parts_s


@pytest.mark.parametrize("name", ["slots-synchronous", "orbit-timing", "aligned", "nmoe"])
def test_parts_of_a_run_sum_up_to_its_time(name, runs):
    result = runs.result(name)
    path = result.critical_path
    end_s = result.manifest["simulated_s"]
    for parts_s in result.client_times.values():
        assert sum(parts_s.values()) == pytest.approx(end_s, rel=1e-12)
        assert min(parts_s[Part.TRAINING], parts_s[Part.SENDING]) > 0
    rounds = result.summary["rounds"]
    many = result.summary["cycles"] if rounds is None else rounds["count"]
    assert (path.unit, len(path.paths)) == ("cycle" if rounds is None else "round", many)
    edges_s = [0.0, *(one.end_s for one in path.paths)]
    for one, (begin_s, end_s) in zip(path.paths, itertools.pairwise(edges_s), strict=True):
        assert one.begin_s == begin_s
        lasted_s = [stretch.end_s - stretch.begin_s for stretch in one.stretches]
        assert sum(lasted_s) == pytest.approx(end_s - begin_s, abs=1e-4)
    assert sum(path.shares.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["fedavg", "slots"])  # of rounds, and of cycles
def test_all_who_show_where_the_time_went_show_one_path(name, runs, leomix, tmp_path):
    """On the screen, the page of the run and that of a comparison: the same shares."""
    run = runs.result(name)
    shares = {str(part): percent(share, 1) for part, share in run.critical_path.shares.items()}
    first = [f"{share} {part}" for part, share in shares.items()][:4]
    assert f"time {', '.join(first)}" in " ".join(leomix("show", runs[name]).out.split())
    page = report([runs[name]], tmp_path / "run.html").read_text()
    assert ", ".join(first) in html.unescape(page)
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.S)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows]
    of_path = {row[0]: row[2] for row in cells if len(row) == 3 and row[0] in shares}
    assert {key: html.unescape(share) for key, share in of_path.items()} == shares
    both = report([runs[name], runs["slots-timing"]], tmp_path / "both.html").read_text()
    heads, of_group = table_after(both, "The same in numbers")
    known = dict(zip(heads[1:], of_group[1:], strict=True))
    assert {part: known[part] for part in shares} == shares
    assert all(share == "0.0 %" for part, share in known.items() if part not in shares)


def table_after(page, title):
    """The head and the first row of the table of a page that has this title."""
    text = page[page.index(title) :]
    rows = re.findall(r"<tr>(.*?)</tr>", text[: text.index("</table>")], re.S)[:2]
    cells = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows)
    return [[html.unescape(re.sub("<.*?>", "", one)) for one in row] for row in cells]
