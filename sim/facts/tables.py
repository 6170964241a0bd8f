"""The tables of a run folder, and the kinds of rows that each has."""

from __future__ import annotations

from sim.facts import faults, learning, plan, transfers, waits
from sim.facts.events import Event
from sim.facts.row import Column, Row, columns_of

EVENTS: tuple[type[Event], ...] = (
    transfers.Connected,
    transfers.Disconnected,
    transfers.TrainingStarted,
    transfers.TrainingEnded,
    transfers.TransferStarted,
    transfers.TransferEnded,
    transfers.PartDropped,
    transfers.MessageLost,
    waits.BeamBusy,
    waits.BeamTakenOver,
    waits.StateUnknown,
    waits.SubChannelBusy,
    waits.ChainClosed,
    faults.SatelliteOut,
    faults.DeviceAway,
    faults.DeviceSlow,
    faults.PacketsResent,
    faults.UploadsLate,
    faults.MemoryLacks,
    faults.NoContactsLeft,
    learning.Assigned,
    learning.ModelAggregated,
    learning.Inferred,
    learning.Evaluated,
    learning.Noted,
)
"""Classes of events; a column that only some of them have stands behind those before it."""

TABLES: dict[str, tuple[type[Row], ...]] = {
    "contacts": (plan.ContactRow,),
    "transfers": (transfers.TransferRow,),
    "events": EVENTS,
    "metrics": (learning.MetricsRow,),
    "assignments": (learning.AssignmentRow,),
    "clients": (learning.ClientRow,),
    "updates": (learning.UpdateRow,),
    "inferences": (learning.InferenceRow,),
    "isl_windows": (plan.IslWindowRow,),
}
"""The classes of rows of each table, in the order in which tables are listed."""


def columns_of_table(name: str) -> tuple[Column, ...]:
    """Return the columns of a table: those of all its kinds of rows, each where it first stands."""
    columns: dict[str, Column] = {}
    for kind in TABLES[name]:
        for column in columns_of(kind):
            columns.setdefault(column.name, column)
    return tuple(columns.values())
