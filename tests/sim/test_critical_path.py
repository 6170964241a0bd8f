"""Where simulated time went: the parts are those of the definition, and sum up to the time."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sim
from tests.kit import small
from tests.kit.records import COLUMNS
from tests.kit.results import CriticalPath, Spent, critical_path
from tests.runs import Runs

Rows = list[dict[str, Any]]
Pairs = list[tuple[int, int]]


def path_of(end_s: float, **rows: Rows) -> CriticalPath:
    """The critical path of tables that have these rows."""
    tables = {
        name: pa.Table.from_pylist(rows.get(name, []), pa.schema(list(columns.items())))
        for name, columns in COLUMNS.items()
    }
    return critical_path(tables, end_s)


def contact(
    number: int, cluster: str, rise_s: float, set_s: float, *service: float
) -> dict[str, Any]:
    row = {"contact_id": number, "cluster": cluster, "rise_s": rise_s, "set_s": set_s}
    row["served"] = bool(service)
    return row | dict(zip(("service_start_s", "service_end_s"), service, strict=False))


def transfer(cluster: str, start_s: float, end_s: float, peer: str | None = None) -> dict[str, Any]:
    return {"cluster": cluster, "start_s": start_s, "end_s": end_s, "peer": peer}


def event(time_s: float, kind: str, cluster: str, **more: Any) -> dict[str, Any]:
    return {"time_s": time_s, "kind": kind, "cluster": cluster, **more}


def complete(cycle: int, time_s: float) -> dict[str, Any]:
    return {"cycle": cycle, "time_s": time_s, "scope": "global"}


def beam_wait(time_s: float, cluster: str, number: int) -> dict[str, Any]:
    return event(time_s, "wait", cluster, contact_id=number, detail="beam busy: not served")


def test_a_run_by_hand() -> None:
    """A waits for its beam and for the satellites' state, and is served last in both cycles."""
    path = path_of(
        500.0,
        contacts=[
            contact(0, "A", 100, 200, 130, 200),
            contact(1, "B", 20, 90, 20, 90),
            contact(2, "A", 400, 450, 400, 450),
            contact(3, "B", 300, 350, 300, 350),
        ],
        transfers=[
            transfer("A", 150, 160),
            transfer("A", 155, 170),
            transfer("B", 30, 40),
            transfer("A", 400, 410),
        ],
        events=[
            event(60, "train_start", "A", device=0),
            event(90, "disconnect", "B"),
            beam_wait(100, "A", 0),
            event(110, "train_end", "A", device=0),
            event(130, "wait", "A", contact_id=0, detail="synchronisation: until 140.000 s"),
            event(135, "train_start", "A", device=0),
            event(165, "train_end", "A", device=0),
            event(200, "disconnect", "A"),
            event(350, "disconnect", "B"),
            event(440, "train_start", "A", device=1),
            event(450, "disconnect", "A"),
        ],
        metrics=[complete(0, 0), complete(1, 200), complete(2, 450), complete(2, 500)],
    )
    # Until 200: trains 60-100, no beam 100-130, no state 130-140, trains 140-150, sends 150-170.
    first = Spent(transmitting_s=20, queueing_s=40, training_s=50, waiting_s=90)
    # From 200: sends 400-410 and trains from 440 on, to the end and beyond.
    second = Spent(transmitting_s=10, queueing_s=0, training_s=10, waiting_s=230)
    assert [(c.cycle, c.cluster, c.begin_s, c.end_s, c.spent) for c in path.cycles] == [
        (1, "A", 0.0, 200.0, first),
        (2, "A", 200.0, 450.0, second),
    ]
    assert path.spent == Spent(30, 40, 60, 320)
    assert path.rest_s == 50.0
    assert path.clusters["A"] == Spent(30, 40, 110, 320)
    assert path.clusters["B"] == Spent(10, 0, 0, 490)


def test_what_is_sent_to_a_peer_occupies_both_ends() -> None:
    path = path_of(10.0, transfers=[transfer("A", 1, 3, peer="B/x/7")])
    assert path.clusters == {"A": Spent(transmitting_s=2, waiting_s=8)}
    path = path_of(10.0, transfers=[transfer("A", 1, 3, peer="B/7"), transfer("B", 2, 4)])
    assert path.clusters["B"] == Spent(transmitting_s=3, waiting_s=7)


def test_a_beam_is_waited_for_while_the_satellite_is_in_view() -> None:
    taken = event(60, "wait", "A", contact_id=0, detail="beam taken over by a cluster that waited")
    path = path_of(100.0, contacts=[contact(0, "A", 40, 90, 40, 60)], events=[taken])
    assert path.clusters["A"] == Spent(queueing_s=30, waiting_s=70)
    # Another satellite's beam ends the wait.
    rows = [contact(0, "A", 20, 80), contact(1, "A", 0, 100, 50, 100)]
    path = path_of(100.0, contacts=rows, events=[beam_wait(20, "A", 0)])
    assert path.clusters["A"] == Spent(queueing_s=30, waiting_s=70)


def test_of_clusters_that_part_at_once_the_one_served_least_often_completes_the_cycle() -> None:
    parting = [event(time_s, "disconnect", name) for time_s, name in ((5, "Z"), (9, "A"), (9, "Z"))]
    path = path_of(9.0, events=parting, metrics=[complete(1, 9)])
    assert [cycle.cluster for cycle in path.cycles] == ["A"]


def test_a_run_that_ended_at_once_has_spent_nothing() -> None:
    assert path_of(0.0) == CriticalPath(0.0, {}, ())
    assert path_of(0.0, contacts=[contact(0, "A", 0, 9)]).clusters == {"A": Spent()}


SPAN_S = 60
SPANS = st.tuples(st.integers(0, SPAN_S + 5), st.integers(0, 20)).map(lambda s: (s[0], s[0] + s[1]))


@given(
    *(st.lists(SPANS, max_size=most) for most in (6, 6, 4, 4, 3)),
    st.lists(st.integers(1, SPAN_S), max_size=4, unique=True).map(sorted),
)
def test_every_second_counts_once_and_where_the_definition_says(
    sends: Pairs, trains: Pairs, served: Pairs, beamless: Pairs, stateless: Pairs, marks: list[int]
) -> None:
    """Against a count second by second: all spans begin and end on whole ones."""
    contacts = [contact(n, "A", *span, *span) for n, span in enumerate(served)]
    contacts += [contact(100 + n, "A", *span) for n, span in enumerate(beamless)]
    events = [beam_wait(begin, "A", 100 + n) for n, (begin, _) in enumerate(beamless)]
    events += [
        event(begin, "wait", "A", contact_id=0, detail=f"synchronisation: until {end}.000 s")
        for begin, end in stateless
    ]
    for device, (begin, end) in enumerate(trains):
        events.append(event(begin, "train_start", "A", device=device))
        events.append(event(end, "train_end", "A", device=device))
    events += [event(mark, "disconnect", "A") for mark in marks]
    path = path_of(
        float(SPAN_S),
        contacts=contacts,
        transfers=[transfer("A", *span) for span in sends],
        events=sorted(events, key=lambda row: float(row["time_s"])),
        metrics=[complete(n + 1, mark) for n, mark in enumerate(marks)],
    )

    def within(second: int, spans: Pairs) -> bool:
        return any(begin <= second < end for begin, end in spans)

    def doing(second: int) -> int:
        if within(second, sends):
            return 0
        if within(second, stateless if within(second, served) else beamless):
            return 1
        return 2 if within(second, trains) else 3

    def counted(begin: int, end: int) -> Spent:
        done = [doing(second) for second in range(begin, end)]
        return Spent(*(float(done.count(what)) for what in range(4)))

    if path.clusters:
        assert path.clusters["A"] == counted(0, SPAN_S)
    edges = [0, *marks]
    assert [c.spent for c in path.cycles] == list(map(counted, edges, marks))
    assert path.spent.total_s + path.rest_s == SPAN_S


@pytest.mark.parametrize("name", ["slots-synchronous", "orbit-timing", "aligned", "nmoe"])
def test_parts_of_a_run_sum_up_to_its_time(name: str, runs: Runs) -> None:
    result = runs.result(name)
    path, end_s = result.critical_path, result.manifest["simulated_s"]
    for spent in path.clusters.values():
        assert spent.total_s == pytest.approx(end_s, rel=1e-12)
        assert spent.training_s > 0
        assert spent.transmitting_s > 0
    assert [cycle.cycle for cycle in path.cycles] == list(range(1, result.summary["cycles"] + 1))
    assert path.cycles[0].begin_s == 0.0
    for before, after in zip(path.cycles, path.cycles[1:], strict=False):
        assert before.end_s == after.begin_s
    for cycle in path.cycles:
        assert cycle.spent.total_s == pytest.approx(cycle.end_s - cycle.begin_s, abs=1e-9 * end_s)
    assert path.spent.total_s + path.rest_s == pytest.approx(end_s, rel=1e-12)
    # No cluster transmits for longer than its rows do, all together, nor less than any of them.
    moved = result.transfers.assign(lasted=lambda rows: rows.end_s - rows.start_s)
    for cluster, rows in moved.groupby("cluster").lasted:
        sent_s = path.clusters[str(cluster)].transmitting_s
        assert rows.max() - 1e-6 <= sent_s
        assert sent_s <= rows.sum() + moved[moved.peer.notna()].lasted.sum() + 1e-6


def test_clusters_that_share_a_beam_queue_for_it_as_long_as_the_plan_says() -> None:
    """Two places side by side see every pass together, and one satellite has one beam."""
    places = [
        {"name": name, "latitude_deg": latitude_deg, "longitude_deg": 20, "devices": 2}
        for name, latitude_deg in (("North", 60), ("South", 59))
    ]
    scenario = small.orbit(ground={"clusters": places}, learning={"train": False})
    result = sim.run(scenario)
    waits = result.events[result.events.kind == "wait"]
    waits = waits[waits.detail.str.startswith("beam")].groupby("contact_id").time_s.min()
    assert len(waits) > 3
    contacts = result.contacts.set_index("contact_id").loc[waits.index]
    served_s = contacts.service_end_s - contacts.service_start_s.clip(lower=waits)
    queued_s = (contacts.set_s - waits - served_s.fillna(0.0).clip(lower=0.0)).sum()
    found_s = sum(spent.queueing_s for spent in result.critical_path.clusters.values())
    assert found_s == pytest.approx(queued_s, rel=1e-9)


def test_rows_are_json_and_cover_the_whole_run(runs: Runs) -> None:
    path = runs.result("slots-synchronous").critical_path
    assert {cycle.cluster for cycle in path.cycles} == {"B"}
    rows = json.loads(json.dumps(path.rows()))
    assert [row["what"] for row in rows] == ["cluster"] * 2 + ["cycle"] * 3 + ["rest"]
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert rows[2]["training_s"] == path.cycles[0].spent.training_s
    assert rows[-1]["begin_s"] == path.cycles[-1].end_s
    assert rows[-1]["end_s"] == path.simulated_s
