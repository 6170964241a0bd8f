"""The planned outages that a scenario lists, itself or in a file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import scenarios
from orbit.formats.files import read_text
from orbit.formats.tables import Row, parse_table
from scenarios import Scenario
from scenarios.faults import BEGINS, ENDS, PlannedOutage
from scenarios.scenario import dated_outage_problems
from sim.errors import InputError
from statements import Code, KeyPath, Place, Remedy, Statement

ENDS_OF_LINK = ("link_a", "link_b")
"""Columns of the two ends of a link."""
COLUMNS = ("satellite", "station", "cluster", *ENDS_OF_LINK, *BEGINS, *ENDS)
MOST_ROWS = 10_000


@dataclass(frozen=True)
class ListedOutage:
    """A planned outage, and where it stands: its key, or a row of a file."""

    outage: PlannedOutage
    key: KeyPath = ()
    row: Row | None = None

    def refused(self, text: str, code: Code, *remedies: Remedy, key: str = "") -> InputError:
        """Return the error that says what is wrong with it, or with a key of its own."""
        if self.row is not None:
            said = Statement.of(code, "", f"{key}: {text}" if key else text, *remedies)
            return InputError(said, Place(file=self.row.source, line=self.row.line))
        return InputError(Statement.of(code, (*self.key, *([key] if key else [])), text, *remedies))


@dataclass(frozen=True, eq=False)
class PlannedOutages:
    """The planned outages of a scenario; its file is read when they are asked for."""

    scenario: Scenario

    @cached_property
    def listed(self) -> tuple[ListedOutage, ...]:
        """All of them, those of the file behind the scenario's own.

        Raises InputError, or the error of ``orbit``, for a file that is wrong.
        """
        faults = self.scenario.faults
        own = [ListedOutage(one, ("faults", "planned", k)) for k, one in enumerate(faults.planned)]
        named = faults.planned_path
        return (*own, *(() if named is None else self._of_file(named)))

    def _of_file(self, named: str) -> Iterator[ListedOutage]:
        path = scenarios.named_file(
            self.scenario, named, "faults.planned_path", "file of planned outages"
        )
        table = parse_table(
            read_text(path), str(path), COLUMNS, _is_header, COLUMNS, most_rows=MOST_ROWS
        )
        if unknown := sorted(set(table.columns) - set(COLUMNS)):
            raise table.error(
                f"unknown column {unknown[0]!r:.60}; the columns are {', '.join(COLUMNS)}"
            )
        start, orbit = self.scenario.start, self.scenario.orbit
        for row in table.rows():
            try:
                outage = scenarios.planned_outage(_keys_of(row))
            except scenarios.ScenarioError as error:
                raise row.error(str(error)) from None
            listed = ListedOutage(outage, row=row)
            for problem in dated_outage_problems((outage,), start, orbit):
                raise listed.refused(problem.text, problem.code, key=str(problem.path[-1]))
            yield listed


def _is_header(cells: Collection[str]) -> bool:
    return not set(COLUMNS).isdisjoint(cells)


def _keys_of(row: Row) -> dict[str, Any]:
    """Return the keys of an outage that a row gives; empty cells give none."""
    keys: dict[str, Any] = {name: text for name, text in row.cells.items() if text}
    keys |= {name: row.number(name) for name in ("from_hours", "to_hours") if name in keys}
    ends = [keys.pop(name) for name in ENDS_OF_LINK if name in keys]
    if len(ends) == 1:
        raise row.error("a link has two ends; give both link_a and link_b, or none of them")
    return keys | ({"link": tuple(ends)} if ends else {})
