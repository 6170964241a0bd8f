"""What all tests share: profiles of property tests, the command line in this process, whole runs.

Property tests are derandomised and short; ``--deep`` tries many new examples. ``--order SEED``
shuffles the files, and the tests in each. ``--approve`` writes the approved texts anew.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import defaultdict
from typing import NamedTuple

import pytest
from hypothesis import settings

from tests.kit.processes import forget
from tests.runs import Runs

if "PYTEST_XDIST_WORKER" not in os.environ:  # workers share what one of them has trained
    os.environ["LEOMIX_CACHE"] = tempfile.mkdtemp(prefix="leomix-cache-")
    atexit.register(shutil.rmtree, os.environ["LEOMIX_CACHE"], ignore_errors=True)
# A process that dies of a signal says where: this one, and all that the tests start.
os.environ["PYTHONFAULTHANDLER"] = "1"
# A shell starts background jobs with SIGINT ignored, and what they start would not see Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

gc.set_threshold(100_000)  # as for the command `leomix`

settings.register_profile("quick", max_examples=15, derandomize=True, deadline=None, database=None)
settings.register_profile("deep", max_examples=500, deadline=None)
settings.load_profile("quick")


def pytest_addoption(parser):
    parser.addoption("--deep", action="store_true", help="try many new examples of each property")
    parser.addoption("--approve", action="store_true", help="write the approved texts anew")
    parser.addoption("--order", type=int, metavar="SEED", help="shuffle the files and their tests")


def pytest_configure(config):
    if config.getoption("--deep"):
        settings.load_profile("deep")


def pytest_collection_finish():
    """Do not look for garbage among modules and tests ever again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # before marks choose
def pytest_collection_modifyitems(config, items):
    cases = defaultdict(list)
    for item in items:
        if item.get_closest_marker("quick"):
            cases[item.path, item.originalname].append(item)
    for alike in cases.values():
        count = alike[0].get_closest_marker("quick").args[0]
        quick = {index * len(alike) // count for index in range(count)}
        for index, item in enumerate(alike):
            if index not in quick:
                item.add_marker("wide")
    seed = config.getoption("--order")
    if seed is None:
        return
    of_file = defaultdict(list)
    for item in items:
        of_file[item.path].append(item)
    files = sorted(of_file)
    draw = random.Random(seed)
    draw.shuffle(files)
    for file in files:
        draw.shuffle(of_file[file])
    items[:] = [item for file in files for item in of_file[file]]


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def forgets_own_modules(tmp_path_factory):
    """Let modules that a test has written and imported be none of the next one's."""
    before = set(sys.modules)
    yield
    forget(tmp_path_factory.getbasetemp(), but=before)


@pytest.fixture
def leomix(capsys, monkeypatch):
    """Run the command line in this process and return exit status, stdout and stderr.

    On a machine that is busy, it does not say that it is still there.
    """
    from sim.cli.app import status

    monkeypatch.setattr("sim.formatting.STILL_EVERY_S", 3600.0)

    def call(*arguments):
        code = status([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture
def approved(request):
    """Compare a text with the approved one of a file, or of the row of a file that begins so."""

    def compare(found, wanted, path, row=None):
        if request.config.getoption("--approve") and found != wanted:
            text = path.read_text() if row else ""
            old, new = (f"{row}{json.dumps(one, ensure_ascii=False)}" for one in (wanted, found))
            assert row is None or old in text, f"{path}: has no row {old}"
            path.write_text(text.replace(old, new) if row else found)
        else:
            assert found == wanted, f"{path}: pytest --approve writes it anew"

    return compare


@pytest.fixture(scope="module")
def browser():
    """Chromium, for the tests of a module; they are skipped where it is missing."""
    from tests.kit.browser import CHROMIUM, chromium

    pytest.importorskip("playwright.sync_api", reason="install playwright for browser tests")
    if CHROMIUM is None:
        pytest.skip("install chromium: pages are opened in it")
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """The shared runs of the session (tests/runs.py)."""
    place = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        place = place.parent
    shared = Runs(place / "runs")
    yield shared
    assert not shared.changed(), "a shared run is read-only; take runs.copy(name, tmp_path)"
