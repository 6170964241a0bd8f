"""To be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(tables: Mapping[str, pa.Table], axes: Axes) -> Axes:
    """Draw."""
    return axes
