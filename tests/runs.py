"""Small runs that many tests look at, each made once a session and opened read-only.

``runs["slots"]`` is a folder; ``runs.result("slots")`` is read from it. A test that damages or
continues a run takes ``runs.copy("slots", tmp_path)``. Under xdist all workers share the folders.
"""

import shutil
from functools import cache
from pathlib import Path

from filelock import FileLock

import scenarios
import sim
from tests.kit import small, small_nmoe
from tests.kit.folders import cut, without_checksums

FAULTS = {
    "outages": {"per_day": 4, "mean_hours": 0.5},
    "churn": {"mean_present_hours": 12, "mean_away_hours": 3},
    "packets": {"loss": 0.02},
    "uploads": {"corrupted": 0.3},
}
UNTRAINED = {"train": False}
BATTERIES = {
    "learning.train": False,
    "orbit.use.planes": 2,
    "orbit.use.satellites_per_plane": 7,
    "ground.stations_used": 3,
    "stop.days": 1,
    "compute.power_w": 15,
    "compute.battery": {"capacity_wh": 6, "charge_w": 10, "idle_w": 4},
}
SCENARIOS = {
    "slots": small.slots,
    "slots-timing": lambda: small.slots(learning=UNTRAINED),
    "slots-enhanced": lambda: small.slots(learning={"method": "emsfl-enhanced"}),
    "slots-synchronous": lambda: small.slots(learning={"method": "synchronous"}),
    "fedavg": lambda: small.slots(learning={"method": "fedavg"}),
    "orbit": small.orbit,
    "orbit-timing": lambda: small.orbit(learning=UNTRAINED),
    "faults": lambda: small.orbit(learning=UNTRAINED, faults=FAULTS),
    "batteries": lambda: scenarios.load("flystack", BATTERIES),
    "nmoe": lambda: small_nmoe.nmoe(learning={"options": {"inference_samples": 40}}),
    "experts": lambda: scenarios.from_dict(small_nmoe.IN_ORBIT),
    "aligned": lambda: small.slots(learning={"method": "aligned"}),
}


class Runs:
    """Folders of the shared runs under ``place``."""

    def __init__(self, place):
        self._place = place
        place.mkdir(exist_ok=True)

    def __getitem__(self, name):
        if name == "stopped":  # a trained run, in its middle
            return self.made(name, lambda folder: cut(small.slots(), folder, 20))
        return self.made(name, lambda folder: sim.run(SCENARIOS[name](), folder))

    def made(self, name, make):
        """The folder that ``make`` writes, once a session."""
        folder = self._place / name
        done = self._place / f"{name}.made"
        if not done.exists():
            with FileLock(self._place / f"{name}.lock"):
                if not done.exists():
                    shutil.rmtree(folder, ignore_errors=True)
                    make(folder)
                    done.write_text(_state(folder))
        return folder

    @cache  # noqa: B019 (one object a session)
    def result(self, name):
        return sim.load(self[name])

    def copy(self, name, place):
        """A copy that a test may change, tables included: ``place / name``."""
        return without_checksums(Path(shutil.copytree(self[name], place / name)))

    def changed(self):
        """Names of the runs that somebody has written to."""
        made = {file: file.with_suffix("") for file in self._place.glob("*.made")}
        return [run.name for file, run in made.items() if file.read_text() != _state(run)]


def _state(folder):
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return "\n".join(
        f"{f.relative_to(folder)} {(s := f.stat()).st_size} {s.st_mtime_ns}" for f in files
    )
