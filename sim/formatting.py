"""Figures with units to and from text; aligned tables; a bar that shows progress."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from textwrap import fill
from typing import Any, Self

from sim.errors import InputError
from sim.process.terminal import escaping, obeyed
from statements import Code


def duration(time_s: float) -> str:
    """Show a time in two figures or so: 40 s, 12 min, 3.5 h, 2.1 days."""
    for unit, scale, least in (("days", 86400.0, 172800.0), ("h", 3600.0, 7200.0)):
        if time_s >= least:
            return f"{time_s / scale:.1f} {unit}"
    return f"{time_s / 60:.0f} min" if time_s >= 120 else f"{time_s:.{0 if time_s >= 10 else 1}f} s"


SHORT_S = 2 * 86400.0
"""Shorter runs are shown in hours."""


def how_far(time_s: float, span_s: float | None, cycle: int, cycles: int | None) -> str:
    """Say how far a run has come in simulated time and in cycles, of how many where it is known."""
    short = span_s is not None and span_s < SHORT_S
    unit, unit_s = ("h", 3600.0) if short else ("days", 86400.0)
    of = "" if span_s is None else f" of {round(span_s / unit_s, 2):g}"
    of_cycles = "" if cycles is None else f" of {cycles}"
    counted_cycles = f", cycle {cycle}{of_cycles}" if cycle or of_cycles else ""
    return f"{time_s / unit_s:.2f}{of} {unit}{counted_cycles}"


def time_left_s(took_s: float, share: float) -> float:
    """Return how long what is left takes, where a share of all has taken so long."""
    return took_s * (1.0 - share) / share


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns: the first to the left, all others to the right; a head may have two lines."""
    above, below = zip(*(head.rpartition("\n")[::2] for head in header), strict=True)
    every = [*([above] if any(above) else []), below, *rows]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    lines = []
    for row in every:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def some(names: Sequence[str], most: int, between: str = ", ") -> str:
    """Name the first of some things, and say how many others there are; one other is named too."""
    shown = names if len(names) == most + 1 else names[:most]
    more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return between.join(shown) + more


WIDTH = 79
"""Columns of a terminal."""
MOST_LISTED = 5
"""Names up to which :func:`listed` has each of them."""


def listed(names: Sequence[str]) -> str:
    """Name things as a sentence does: "a, b and c"; of many the first, and how many others."""
    if len(names) > MOST_LISTED + 1:
        return some(names, MOST_LISTED)
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def capital(text: str) -> str:
    """Return a text with a capital."""
    return f"{text[:1].upper()}{text[1:]}"


def count(number: float) -> str:
    """Show a count, or a mean of counts, which has one digit behind the point."""
    return f"{number:.0f}" if round(number, 9) == round(number) else f"{number:.1f}"


def counted(number: float, name: str) -> str:
    """Return how many there are of what a name stands for: 1 day, 0.5 days."""
    shown = f"{number:g}" if isinstance(number, float) else str(number)
    return f"{shown} {name}" if shown == "1" else f"{shown} {name}s"


BYTES = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
JOULES = (("GJ", 1e9), ("MJ", 1e6), ("kJ", 1e3))
"""Names and sizes of units, the largest first (powers of 1000)."""


def unit_for(value: float, units: Sequence[tuple[str, float]], least: str) -> tuple[str, float]:
    """Return the largest of some units that a value holds; ``least`` is what it is measured in."""
    return next((unit for unit in units if value >= unit[1]), (least, 1.0))


def three_digits(value: float) -> str:
    """Show a figure in a unit that it holds, if not much more: 2.15, 21.5, 215."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def data_size(size_bytes: float) -> str:
    """Show bytes in B, kB, MB, GB or TB (powers of 1000)."""
    return _in_units(size_bytes, BYTES, ".2f") or f"{size_bytes:.0f} B"


def short_size(size_bytes: float) -> str:
    """Show bytes in three digits, as sentences do: 12.4 TB, 655 kB."""
    unit, size = unit_for(size_bytes, BYTES, "B")
    return f"{three_digits(size_bytes / size)} {unit}"


def energy(joules: float) -> str:
    """Show an energy in J, kJ, MJ or GJ."""
    return _in_units(joules, JOULES, ".2f") or f"{joules:.2f} J"


def seconds(time_s: float) -> str:
    """Show a time in us, ms, s, minutes or hours."""
    units = ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)
    return _in_units(time_s, units, ".3g") or f"{time_s / 1e-6:.3g} us"


def percent(share: float, digits: int = 2, sign: str = "") -> str:
    """Show a share in percent, as "0.48 %"; one that is too small for its digits is not nothing.

    A change has a ``sign``, "+" or "-". What is nan is "-".
    """
    least = 10.0**-digits
    if math.isnan(share):
        return "-"
    if not sign and 0.0 < 200.0 * share < least:
        return f"< {least:g} %"
    return f"{100.0 * share:{sign}.{digits}f} %"


def _in_units(value: float, units: Sequence[tuple[str, float]], form: str) -> str:
    """Show a value in the first of the units that it holds; nothing where it holds none."""
    held = (f"{value / scale:{form}} {unit}" for unit, scale in units if value >= scale)
    return next(held, "")


# Values of a scenario as its author would write them.


LARGEST_WHOLE = 1e15
"""Below it a whole number is written with all of its digits."""


def as_yaml(value: Any) -> str:
    """Return a value as one line of YAML: 500 and not 500.0, null, false, lists in brackets."""
    return value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return the value with floats that are whole as whole numbers."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE
    return int(value) if whole else value


# Times as a user writes them on the command line.


def parse_seconds(option: str, text: str) -> float:
    """Return the seconds of ``36h``, ``2d``, ``1h 30min``, ``5400s`` or ``5400``.

    Raises InputError, which names the ``option``, for anything else, and for no time at all.
    """
    from orbit.formats.tables import spelt_duration

    found = spelt_duration(text if text.strip()[-1:].isalpha() else f"{text}s")
    if found is None:
        raise InputError.of_option(
            f"{option} {text}",
            Code.WRONG_VALUE,
            "is not a time",
            "write it like 36h, 2d, 90min, or 5400 (seconds)",
        )
    time_s = found[0]
    if not (0.0 < time_s < math.inf):
        raise InputError.of_option(f"{option} {text}", Code.WRONG_VALUE, "must be above 0")
    return time_s


def parse_size(option: str, text: str) -> float:
    """Return the bytes of ``500MB``, ``20 kB`` or ``0.5GB`` (powers of 1000).

    Raises InputError, which names the ``option``, for anything else, and for no bytes at all.
    """
    units = {unit: size for unit, size in BYTES if unit != "TB"}
    number, unit = text.strip()[:-2], text.strip()[-2:]
    try:
        size_bytes = float(number) * units[unit]
    except (KeyError, ValueError):
        raise InputError.of_option(
            f"{option} {text}",
            Code.WRONG_VALUE,
            "is not a size",
            "write it like 500MB, 20kB or 2GB",
        ) from None
    if not (0.0 < size_bytes < math.inf):
        raise InputError.of_option(f"{option} {text}", Code.WRONG_VALUE, "must be above 0")
    return size_bytes


def legend_of(command: str) -> dict[str, list[str]]:
    """Return head and meaning of what a command prints, by column; empty for other commands."""
    from importlib import resources

    from scenarios.parsing import shipped_table

    text = resources.files("sim").joinpath("legends.yaml").read_text(encoding="utf-8")
    legends: dict[str, dict[str, list[str]]] = shipped_table(text)
    return legends.get(command, {})


def filled(
    package: str,
    folder: str,
    template: str,
    values: Mapping[str, Any],
    filters: Mapping[str, Callable[..., Any]] = {},
    *,
    html: bool = False,
) -> str:
    """Return a template in a folder of a package filled in; ``html`` escapes the values.

    Raises KeyError for a value that the template asks for and that is not there.
    """
    import jinja2

    made = _templates(package, folder, tuple(filters.items()), html=html)
    try:
        return made.get_template(template).render(values)
    except jinja2.UndefinedError as error:  # of a manifest that leomix has not written
        raise KeyError(str(error)) from error


@cache
def _templates(
    package: str, folder: str, filters: tuple[tuple[str, Callable[..., Any]], ...], *, html: bool
) -> Any:
    """Return the templates in a folder of a package, each of which is compiled once."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, folder),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
        extensions=["jinja2.ext.do"],
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    own = {"form": format, "energy": energy, "seconds": seconds, "percent": percent}
    own |= {"data_size": data_size, "duration": duration}
    environment.filters |= {**own, **dict(filters)}
    return environment


STILL_EVERY_S = 30.0
"""Seconds that something may take without a line, where there is no terminal."""
LOOK_EVERY_S = 1.0
"""Seconds between two looks at what takes long."""
BAR = 20
"""Width of a bar on a terminal."""
MARKS = (0.01, 0.02, 0.05, *(tenths / 10 for tenths in range(1, 10)))
"""Shares that are done at which there is a line, where there is no terminal."""


class Bar:
    """Shows what takes long on stderr, unless ``quiet``: a bar with a text, or lines.

    The bar is drawn on a terminal that can draw one (``shown``), BAR characters wide. Elsewhere the
    same text is a line at each of the MARKS, from STILL_EVERY_S on, and again after so long where
    nobody knows which share is done. A thread looks after both, so that they go on
    while a computation does.
    """

    def __init__(self, *, quiet: bool) -> None:
        dumb = os.environ.get("TERM") == "dumb"
        self.quiet = quiet
        self.shown = not quiet and sys.stderr.isatty() and not dumb
        self._bar: Any = None
        self._said = ""
        self._share: float | None = None
        self._marks = 0
        self._began = self._last_line = time.monotonic()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def start(self, text: str) -> None:
        """Draw the bar, and look after it from now on."""
        self._said = text
        if self.shown:
            self._draw(text)
        if not self.quiet:
            self._watch.start()

    def _draw(self, text: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = [BarColumn(BAR), TextColumn("{task.description}")]
        self._bar = Progress(*columns, console=Console(file=obeyed(sys.stderr)), transient=True)
        self._bar.start()
        # Until it stops, rich prints what is printed above the bar, and obeys it.
        sys.stdout = escaping(sys.stdout)
        sys.stderr = escaping(sys.stderr)
        self._bar.add_task(text, total=None)

    def update(self, text: str, share: float | None = None) -> None:
        """Change what it shows: a text, and the share that is done (0 to 1) if that is known."""
        self._said, self._share = text, share
        if self._bar is not None:
            total = None if share is None else 1.0
            lines = fill(text, WIDTH - BAR - 1)
            self._bar.update(self._bar.task_ids[0], description=lines, completed=share, total=total)

    def _look(self) -> None:
        """Look after it until it is over; the terminal may be closed by now."""
        while not self._over.wait(LOOK_EVERY_S):
            with suppress(OSError, ValueError):
                self.look_after()

    def look_after(self) -> None:
        """Say in a line how far it is, if that is due; called every second."""
        now = time.monotonic()
        if self.shown or self.quiet or now - self._began < STILL_EVERY_S:
            return
        if self._share is None:
            if now - self._last_line >= STILL_EVERY_S:
                self._last_line = now
                print(f"{self._said}, for {duration(now - self._began)}", file=sys.stderr)
        elif (marks := bisect_right(MARKS, self._share)) > self._marks:
            self._marks = marks
            print(self._said, file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._watch.is_alive():
            self._watch.join()
        if self._bar is not None:
            with suppress(OSError):  # the terminal may be closed by now
                self._bar.stop()
