"""Instants in UTC, of seconds since the start of a run."""

from datetime import UTC, datetime
from typing import Literal

import numpy as np


def utc(start: datetime, time_s: np.ndarray) -> np.ndarray:
    """Return instants (datetime64, UTC) of seconds since a start, rounded as datetimes are."""
    zero = np.datetime64(start.astimezone(UTC).replace(tzinfo=None), "us")
    fraction, whole = np.modf(time_s)
    past_us = whole.astype(np.int64) * 1_000_000 + np.rint(fraction * 1e6).astype(np.int64)
    return np.asarray(zero + past_us.astype("timedelta64[us]"))


def iso(times: np.ndarray, unit: Literal["ms", "us"] = "us") -> np.ndarray:
    """Return UTC times (datetime64) as text, like 2026-08-22T00:00:00.123456Z."""
    return np.datetime_as_string(times, unit=unit, timezone="UTC")
