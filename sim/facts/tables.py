"""The tables of a run folder, and the kinds of rows that each has."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import isclass
from types import ModuleType

from sim.facts import energy, faults, learning, plan, transfers
from sim.facts.events import Event
from sim.facts.row import Column, Row, columns_of


def _events_in(module: ModuleType) -> Iterator[type[Event]]:
    """Return the classes of events that a module defines, in the order in which it does."""
    for kind in vars(module).values():
        if isclass(kind) and issubclass(kind, Event) and kind.__module__ == module.__name__:
            yield kind


EVENTS: tuple[type[Event], ...] = (
    *_events_in(transfers),
    *_events_in(faults),
    *_events_in(learning),
)
"""Classes of events; columns that only some of them have stand in this order, so that a class with
new columns belongs to the end, or into a module of its own behind the others."""

TABLES: dict[str, tuple[type[Row], ...]] = {
    "contacts": (plan.ContactRow,),
    "transfers": (transfers.TransferRow,),
    "events": EVENTS,
    "metrics": (learning.MetricsRow,),
    "assignments": (learning.AssignmentRow,),
    "clients": (learning.ClientRow,),
    "updates": (learning.UpdateRow,),
    "inferences": (learning.InferenceRow,),
    "answers": (learning.AnswerRow,),
    "isl_windows": (plan.IslWindowRow,),
    "feeder_windows": (plan.FeederWindowRow,),
    "charges": (energy.ChargeRow,),
    "capacity": (plan.Operations,),
    "payloads": (plan.PayloadRow,),
}
"""The classes of rows of each table, in the order in which tables are listed."""


def columns_of_table(name: str) -> tuple[Column, ...]:
    """Return the columns of a table: those of all its kinds of rows, each where it first stands."""
    columns: dict[str, Column] = {}
    for kind in TABLES[name]:
        for column in columns_of(kind):
            columns.setdefault(column.name, column)
    return tuple(columns.values())
