"""One contact window as a row of a CSV file tells it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import nan

from orbit.csv_rows import Row, TableError
from orbit.instants import parse_instant
from orbit.limits import within

# Geometry that a row may give, and its range.
GEOMETRY = {
    "max_elevation_deg": (-90.0, 90.0),
    "min_slant_range_km": (0.0, 1e7),
    **{f"{at}_azimuth_deg": (0.0, 360.0) for at in ("rise", "culminate", "set")},
    **{f"{at}_slant_range_km": (0.0, 1e7) for at in ("rise", "culminate", "set")},
    **{f"{at}_range_rate_km_s": (-100.0, 100.0) for at in ("rise", "culminate", "set")},
}
FLAGS = ("clipped_start", "clipped_end", "sgp4_error")
KNOWN = (
    "satellite", "site", "rise_utc", "culminate_utc", "set_utc", "duration_s", *GEOMETRY,
    "culminations", *FLAGS,
)  # fmt: skip

_FLAG_WORDS = {"true": True, "1": True, "false": False, "0": False, "": False}
_LONGEST_S = 1e9
# Other tools round times to a millisecond; ours are in microseconds.
_ROUNDING = timedelta(milliseconds=1)
# Durations may be rounded to whole seconds.
_DURATION_ROUNDING_S = 1.0


@dataclass(frozen=True)
class RowWindow:
    """A window with names and UTC times; geometry that the row does not give is nan."""

    line: int
    satellite: str
    site: str
    rise: datetime
    culminate: datetime
    set: datetime
    geometry: Mapping[str, float]
    culminations: int
    flags: Mapping[str, bool]

    def since(self, start: datetime) -> "RowWindow":
        """What is left of it from `start` on, when it ends later."""
        if self.rise >= start:
            return self
        over = self.culminate < start
        lost = ("rise_", "culminate_", "max_", "min_") if over else ("rise_",)
        flags = {**self.flags, "clipped_start": True}
        return replace(
            self,
            rise=start,
            culminate=max(self.culminate, start),
            geometry={n: nan if n.startswith(lost) else v for n, v in self.geometry.items()},
            culminations=0 if over else self.culminations,
            flags={**flags, "sgp4_error": flags["sgp4_error"] and flags["clipped_end"]},
        )


@dataclass(frozen=True)
class RowReader:
    """Reads rows of a table in which our column `name` is called `columns[name]`."""

    columns: Mapping[str, str]

    def window(self, row: Row) -> RowWindow:
        """The row's window; raises TableError with its line."""
        rise = self._instant(row, "rise_utc")
        set_ = self._set(row, rise)
        return RowWindow(
            line=row.line,
            satellite=row.name(self.columns["satellite"])
            if self._has("satellite")
            else "satellite",
            site=row.name(self.columns["site"]),
            rise=rise,
            culminate=self._culminate(row, rise, set_),
            set=set_,
            geometry={name: self._geometry(row, name) for name in GEOMETRY},
            culminations=self._culminations(row),
            flags={name: self._flag(row, name) for name in FLAGS},
        )

    def _has(self, name: str) -> bool:
        return name in self.columns

    def _text(self, row: Row, name: str) -> str:
        """The cell of our column `name`; empty where the file has no such column."""
        return row.cells[self.columns[name]] if self._has(name) else ""

    def _instant(self, row: Row, name: str) -> datetime:
        try:
            return parse_instant(self._text(row, name), self.columns[name])
        except ValueError as error:
            raise row.error(str(error)) from None

    def _set(self, row: Row, rise: datetime) -> datetime:
        if self._has("set_utc"):
            set_ = self._instant(row, "set_utc")
        else:
            set_ = rise + timedelta(seconds=self._number(row, "duration_s", 0.0, _LONGEST_S))
        if set_ <= rise:
            raise row.error(f"the window sets at {set_}, not after it rises; correct its times")
        self._check_duration(row, (set_ - rise).total_seconds())
        return set_

    def _check_duration(self, row: Row, lasts_s: float) -> None:
        if not self._has("set_utc") or self._text(row, "duration_s").lower() in ("", "nan"):
            return
        duration_s = self._number(row, "duration_s", 0.0, _LONGEST_S)
        if abs(duration_s - lasts_s) > _DURATION_ROUNDING_S:
            column = self.columns["duration_s"]
            raise row.error(
                f"the window sets {lasts_s:.10g} s after it rises, but {column} says "
                f"{duration_s:.10g}; correct one of them, or leave {column} out"
            )

    def _culminate(self, row: Row, rise: datetime, set_: datetime) -> datetime:
        if not self._text(row, "culminate_utc"):
            return rise + (set_ - rise) / 2
        top = self._instant(row, "culminate_utc")
        if not rise - _ROUNDING <= top <= set_ + _ROUNDING:
            raise row.error(f"the window culminates at {top}, outside it; correct its times")
        return min(max(top, rise), set_)

    def _geometry(self, row: Row, name: str) -> float:
        if self._text(row, name).lower() in ("", "nan"):
            return nan
        return self._number(row, name, *GEOMETRY[name])

    def _number(self, row: Row, name: str, low: float, high: float) -> float:
        column = self.columns[name]
        try:
            return within(row.number(column), low, high, column)
        except ValueError as error:
            raise error if isinstance(error, TableError) else row.error(str(error)) from None

    def _culminations(self, row: Row) -> int:
        text = self._text(row, "culminations") or "0"
        if not re.fullmatch(r"\d{1,6}", text):
            raise row.error(f"culminations {text!r} is not a count; give 0 or a whole number")
        return int(text)

    def _flag(self, row: Row, name: str) -> bool:
        text = self._text(row, name)
        if text.lower() not in _FLAG_WORDS:
            raise row.error(f"{self.columns[name]} {text!r} is not a flag; give true or false")
        return _FLAG_WORDS[text.lower()]
