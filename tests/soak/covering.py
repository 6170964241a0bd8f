"""A pytest plugin that writes down which tests run which lines: ``-p covering``.

``LEOMIX_COVERING`` names the JSON file: ``tests`` gives the seconds of each test, ``lines`` the
numbers of the tests that run a line of a file. What a fixture runs counts for all tests of the
file.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

ROOMS = ("orbit", "channel", "sim")
_seconds: dict[str, float] = {}
_failed: set[str] = set()
_coverage = coverage.Coverage(data_file=None, include=[f"{room}/*" for room in ROOMS])


def pytest_sessionstart() -> None:
    _coverage.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    _coverage.switch_context(str(item.path))
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    _coverage.switch_context(item.nodeid)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None]:
    # Seconds of computing, with that of processes that it starts: whatever else the machine does.
    before_s = sum(os.times()[:4])
    result = yield
    _seconds[item.nodeid] = sum(os.times()[:4]) - before_s
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.outcome != "passed":
        _failed.add(report.nodeid)


def pytest_sessionfinish() -> None:
    _coverage.stop()
    root = Path.cwd()
    for test in _failed:  # it would seem to notice every mutant
        del _seconds[test]
    numbers = {test: number for number, test in enumerate(_seconds)}
    of_file = defaultdict(list)
    for test, number in numbers.items():
        of_file[test.split("::")[0]].append(number)
    data = _coverage.get_data()
    lines = {}
    for path in sorted(data.measured_files()):
        contexts = data.contexts_by_lineno(path)
        lines[os.path.relpath(path, root)] = {
            line: sorted({number for name in names for number in _named(name, numbers, of_file)})
            for line, names in contexts.items()
        }
    tests = {test: round(spent_s, 3) for test, spent_s in _seconds.items()}
    Path(os.environ["LEOMIX_COVERING"]).write_text(json.dumps({"tests": tests, "lines": lines}))


def _named(context: str, numbers: dict[str, int], of_file: dict[str, list[int]]) -> list[int]:
    """The tests of a context: one, all of a file, or none yet when modules are imported."""
    if context in numbers:
        return [numbers[context]]
    return of_file[os.path.relpath(context)] if os.path.isfile(context) else []
