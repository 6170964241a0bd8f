"""The blocks of a page, run in its order as a reader would type them, Python in one of its own."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT, steps
from tests.kit.inner.sim import status

AT_THE_ROOT = ("docs", "scenarios")
"""Folders of the repository that commands name."""


SHORTER = (
    (r"(plain-fedavg.*)stop\.days=2", r"\1stop.days=1"),
    (r"(quickstart.*)stop\.days=2", r"\1stop.days=0.5"),
    (r"(plain-fedavg.*)stop\.cycles=\d+", r"\1stop.cycles=2"),
    (r"(leomix (?:run|sweep) three-stations)", r"\1 --set stop.days=0.2"),
    (r"--replications \d+", "--replications 1"),
    (r"=400:1200:\d+", "=400:1200:800"),
)
"""What a command says, and what makes runs of it shorter and fewer."""


def run_page(page, set_variable, *, shorter=False):
    """Run the commands and the Python of ``page`` in the current folder; raise if one fails.

    ``set_variable`` does what ``export`` does, with a name and a value. ``shorter`` changes how
    long commands simulate, and over how many values and seeds.
    """
    for name in AT_THE_ROOT:
        Path(name).symlink_to(ROOT / name)
    with OwnPython() as python:
        _run_steps(page, set_variable, python, SHORTER if shorter else ())


class OwnPython:
    """A Python in which nothing is imported but what the blocks of one page import."""

    TAKES = (
        "import json, os, sys, traceback\n"
        "names, answers = {'__name__': 'docs'}, sys.stdout\n"
        "sys.stdout = sys.stderr\n"
        "for line in sys.stdin:\n"
        "    code, page, variables = json.loads(line)\n"
        "    os.environ.update(variables)\n"
        "    try:\n"
        "        exec(compile(code, page, 'exec', dont_inherit=True), names)\n"
        "        error = ''\n"
        "    except BaseException:\n"
        "        error = traceback.format_exc()\n"
        "    print(json.dumps(error), file=answers, flush=True)\n"
    )

    def __enter__(self):
        self._child = subprocess.Popen(
            [sys.executable, "-c", self.TAKES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_):
        self._child.stdin.close()
        self._child.wait()

    def run(self, code, page):
        """Run a block behind those before it; raise if it fails."""
        self._child.stdin.write(json.dumps([code, page, dict(os.environ)]) + "\n")
        self._child.stdin.flush()
        error = json.loads(self._child.stdout.readline() or '"Python has ended"')
        assert not error, f"{page}:\n{code}\n{error}"


def _run_steps(page, set_variable, python, changes):
    for language, code in steps(page):
        if language == "python":
            python.run(code, page.name)
        for line in code.splitlines() if language == "sh" else ():
            for said, instead in changes:
                line = re.sub(said, instead, line)
            words = shlex.split(line, comments=True)
            if words[:1] == ["leomix"]:
                assert status(words[1:]) == 0, line
            elif words[:1] == ["python"] and not (ROOT / words[1]).exists():
                subprocess.run([sys.executable, words[1]], check=True)
            elif words[:1] == ["export"]:
                set_variable(*words[1].split("="))
