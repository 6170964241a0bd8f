"""Export to Perfetto: lanes of spans, and counters, as JSON in the Trace Event Format of Chrome.

https://ui.perfetto.dev opens it, and so does ``chrome://tracing``. Times are microseconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sim.execution.result import Result
from sim.export.lanes import Place, Span, counters_of, lanes_of

FILE = "run.trace.json"

Event = dict[str, Any]


def write_perfetto(run: Result, place: Path) -> list[str]:
    """Write ``run.trace.json``: a thread a lane, and counters of accuracy and loss."""
    about = json.dumps({"start_utc": run.manifest["start_utc"]})
    with (place / FILE).open("w", encoding="utf-8") as file:
        file.write(f'{{"displayTimeUnit": "ms", "otherData": {about}, "traceEvents": [\n')
        file.writelines(
            f"{',' if number else ''}{json.dumps(event, allow_nan=False)}\n"
            for number, event in enumerate(_events(run))
        )
        file.write("]}\n")
    return []


def _events(run: Result) -> Iterator[Event]:
    processes: dict[str, int] = {}
    for (group, name), points in counters_of(run.tables).items():
        yield from _process(group, processes)
        figure, _, whose = name.partition(" ")
        for time_ns, value in points:
            if math.isfinite(value):
                where = {"pid": processes[group], "ts": time_ns / 1000}
                yield {"ph": "C", "name": figure, **where, "args": {whose: value}}
    for thread, (lane, spans) in enumerate(lanes_of(run.tables, run.manifest), start=1):
        process, name = _names(lane)
        yield from _process(process, processes)
        where = {"pid": processes[process], "tid": thread}
        yield from _named("thread", name, thread, where)
        for span in spans:
            yield {**_span(span), **where}


def _names(place: Place) -> tuple[str, str]:
    """Return the names of the process and the thread at a place: a process a client, or a group."""
    depth = 1 if len(place) == 2 else 2
    return ": ".join(place[:depth]), ": ".join(place[depth:])


def _process(name: str, known: dict[str, int]) -> Iterator[Event]:
    """Name a process the first time that something stands in it."""
    if name not in known:
        known[name] = len(known) + 1
        yield from _named("process", name, known[name], {"pid": known[name]})


def _named(kind: str, name: str, rank: int, where: Event) -> Iterator[Event]:
    """Yield the name of a process or thread, and its place in the order shown."""
    yield {"ph": "M", "name": f"{kind}_name", **where, "args": {"name": name}}
    yield {"ph": "M", "name": f"{kind}_sort_index", **where, "args": {"sort_index": rank}}


def _span(span: Span) -> Event:
    """Return a span, or a mark where it takes no time, with the facts that are known."""
    facts = {key: value for key, value in span.facts.items() if _is_known(value)}
    event = {"name": span.name, "ts": span.begin_ns / 1000, "args": facts}
    if span.end_ns == span.begin_ns:
        return {"ph": "i", "s": "t", **event}
    return {"ph": "X", **event, "dur": (span.end_ns - span.begin_ns) / 1000}


def _is_known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))
