"""Whether a test notices a mutant: each is judged in a process of its own, with limits."""

import compileall
import importlib
import importlib.util
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

LIBRARIES = (
    "numpy scipy.special scipy.interpolate scipy.optimize pandas pyarrow.parquet simpy pydantic"
)
LIBRARIES += " skyfield.api sgp4.api hypothesis pytest typer yaml torch"
MEMORY_BYTES = 4 << 30
NO_SUCH_TEST = 4
"""How pytest ends where a test is asked for that is not there."""


class Judge:
    """Runs tests against mutants in ``copy``, a checkout that nobody else writes to.

    The libraries are imported once, here; each mutant then begins as a fork that has them.
    """

    def __init__(self, copy, work):
        self._copy = copy
        self._work = work
        for name in LIBRARIES.split():
            importlib.import_module(name)
        compileall.compile_dir(copy, quiet=2)

    def killer(self, file, mutant, tests, expected_s):
        """Return the test that fails, "out of time", or "" if none does.

        ``expected_s`` is how long the tests take without the mutant. Files are given back as they
        were.
        """
        if not tests:
            return ""
        path = self._copy / file
        source = path.read_text()
        path.write_text(mutant.applied(source))
        # Children write no byte code: that of the unchanged file must not be taken for this one's.
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
        try:
            return self._outcome(tests, 20.0 + 3.0 * expected_s)
        finally:
            path.write_text(source)

    def _outcome(self, tests, limit_s):
        said = self._work / "said"
        scratch = self._work / "scratch"
        said.unlink(missing_ok=True)
        scratch.mkdir(exist_ok=True)
        child = os.fork()
        if child == 0:
            self._run(tests, said, scratch, limit_s)
        status = _waited(child, 5.0 * limit_s)
        shutil.rmtree(scratch, ignore_errors=True)
        if said.exists():
            return said.read_text()
        if os.WIFSIGNALED(status):
            return "out of time or memory"
        ended = os.waitstatus_to_exitcode(status)
        if ended not in (0, NO_SUCH_TEST):  # a test that is gone notices nothing
            raise RuntimeError(f"pytest ended with {ended}: {tests}")
        return ""

    def _run(self, tests, said, scratch, limit_s):
        """Never returns: what a child does."""
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s), int(limit_s) + 5))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        os.chdir(self._copy)
        os.environ |= {"TMPDIR": str(scratch), "PYTHONPATH": str(self._copy)}
        sys.path.insert(0, str(self._copy))
        sys.dont_write_bytecode = True
        import pytest

        status = pytest.main(["-x", "-p", "no:xdist", "-m", "", *tests], plugins=[_Listener(said)])
        if status == pytest.ExitCode.USAGE_ERROR:  # no such test, or no test can begin
            try:
                importlib.import_module("tests.conftest")
            except Exception:
                said.write_text("tests/conftest.py")
        os._exit(int(status))


class _Listener:
    """Writes down the first test that fails, or that a file cannot be collected."""

    def __init__(self, said):
        self._said = said

    def pytest_runtest_logreport(self, report):
        self._hear(report)

    def pytest_collectreport(self, report):
        self._hear(report)

    def _hear(self, report):
        if getattr(report, "failed", False) and not self._said.exists():
            self._said.write_text(getattr(report, "nodeid", "") or "collection")


def _waited(child, limit_s):
    """Wait for a child and what it started; end them if they take too long."""
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]
