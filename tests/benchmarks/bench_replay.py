"""The replay of a day of a hundred satellites: its size, its frames per second, and many transfers.

`python tests/benchmarks/bench_replay.py` runs the timing of a day of `flystack`, and prints the
CPU seconds that its replay takes to write, the bytes of the page and of its largest parts, and how
fast it plays at 1280 x 1400 in headless Chromium without a GPU: frames per second, which fall where
others use the processor, and what a frame takes of all of Chromium's processes, and in JavaScript
alone. Then the CPU seconds of spans and counters of 700,000 transfers that are
spread over the same contacts, beside those of sorting them once.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import leomix
from tests.benchmarks.stopwatch import timed
from tests.kit.browser import CHROMIUM, chromium
from tests.kit.replay import traffic

SIZE = {"width": 1280, "height": 1400}
PLAYED_S = 5
TRANSFERS = 700_000
FRAMES = """seconds => new Promise(done => {
  let frames = 0, first = performance.now();
  const count = () => {
    frames += 1;
    const spent = (performance.now() - first) / 1000;
    if (spent < seconds) requestAnimationFrame(count); else done(frames / spent);
  };
  requestAnimationFrame(count);
})"""


def main() -> None:
    """Print the figures."""
    run = leomix.run(leomix.scenarios.load("flystack", {"learning.train": False, "stop.days": 1}))
    contacts = len(run.contacts)
    replay = run.replay()
    wrote_s, page = timed(replay.html, clock=time.process_time)
    parts = {name: len(json.dumps(part)) for name, part in replay.data.items()}
    largest = sorted(parts.items(), key=lambda part: -part[1])[:4]
    print(f"100 satellites, {contacts} contacts: {len(page)} bytes in {wrote_s:.2f} CPU s, of them")
    print("  " + ", ".join(f"{name} {size}" for name, size in largest))
    if CHROMIUM is None:
        print("no chromium: frames are not measured")
    else:
        with TemporaryDirectory() as place:
            path = Path(place) / "replay.html"
            path.write_text(page, encoding="utf-8")
            for frames, cpu_ms, script_ms in played(path):
                each = f"{cpu_ms:.1f} CPU ms in each, {script_ms:.1f} ms of JavaScript"
                print(f"  {frames:.0f} frames a second, {each}")
    tables = many(run, TRANSFERS)
    number = run.contacts.contact_id.to_numpy()
    for _ in range(3):
        drawn_s, sorted_s = costs(tables, number, run.manifest["simulated_s"])
        print(f"{TRANSFERS} transfers: {drawn_s:.2f} CPU s; to sort them once {sorted_s:.2f} s")


def played(path: Path) -> list[tuple[float, float, float]]:
    """Return frames per second, CPU and script milliseconds of a frame, three times."""
    found = []
    with chromium() as browser:
        page = browser.new_page(viewport=SIZE)
        page.goto(path.as_uri())
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        page.get_by_role("button", name="Play").click()
        for _ in range(3):
            before_s = cpu_s(), script_s(session)
            frames = page.evaluate(FRAMES, PLAYED_S)
            spent_s = cpu_s() - before_s[0], script_s(session) - before_s[1]
            found.append((frames, *(1000 * s / (frames * PLAYED_S) for s in spent_s)))
    return found


def cpu_s() -> float:
    """Return the CPU seconds of the processes of the browser so far."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(time.user + time.system for time in times)


def script_s(session: Any) -> float:
    """Return the seconds that the page has spent in scripts so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(row["value"] for row in metrics if row["name"] == "ScriptDuration"))


def many(run: Any, count: int) -> dict[str, pa.Table]:
    """Return the tables of a run with made-up transfers, spread over its services."""
    rng = np.random.default_rng(1)
    served = run.contacts[run.contacts.served]
    row = rng.integers(0, len(served), count)
    first_s, last_s = (served[f"service_{edge}_s"].to_numpy()[row] for edge in ("start", "end"))
    start_s = first_s + rng.random(count) * (last_s - first_s)
    order = np.argsort(start_s, kind="stable")
    end_s = np.minimum(last_s, start_s + rng.exponential(3.0, count))
    transfers = pa.table({
        "contact_id": served.contact_id.to_numpy()[row][order],
        "direction": np.where(rng.random(count) < 0.5, "uplink", "downlink"),
        "toward": ["server"] * count,
        "start_s": start_s[order],
        "end_s": end_s[order],
        "on_air_bytes": rng.integers(1, 10**6, count).astype(float),
        "delivered_bytes": rng.integers(1, 10**6, count).astype(float),
    })  # fmt: skip
    return {**run.tables, "transfers": transfers}


def costs(tables: dict[str, pa.Table], contact_id: Any, end_s: float) -> tuple[float, float]:
    """Return CPU seconds of spans and counters of the transfers, and of sorting them once."""
    rows = tables["transfers"]
    columns = [rows[name].to_numpy() for name in ("end_s", "start_s", "contact_id")]
    clock: Callable[[], float] = time.process_time
    sorted_s, _ = timed(lambda: np.lexsort(columns), clock=clock)
    spans_s, spans = timed(traffic.contact_lanes, tables, contact_id, clock=clock)
    times = traffic.times_counted(end_s, spans)
    counted_s, _ = timed(traffic.counted, tables, times, clock=clock)
    return spans_s + counted_s, sorted_s


if __name__ == "__main__":
    main()
