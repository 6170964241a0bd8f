"""The blocks of a page, run in its order, as a reader would type them.

    python -m tests.docs.run_page docs/gallery.md gallery build/docs

runs a page in a folder of its own, and moves what it has written into `gallery` to `build/docs`.
"""

import os
import runpy
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from tests.docs.pages import ROOT, steps
from tests.kit.sweeps import status

AT_THE_ROOT = ("docs", "scenarios")
"""Folders of the repository that commands name."""


def run_page(page, set_variable=os.environ.__setitem__):
    """Run the commands and the Python of ``page`` in the current folder; raise if one fails.

    ``set_variable`` does what ``export`` does, with a name and a value.
    """
    for name in AT_THE_ROOT:
        Path(name).symlink_to(ROOT / name)
    names = {"__name__": "docs"}
    for language, code in steps(page):
        if language == "python":
            exec(compile(code, page.name, "exec", dont_inherit=True), names)
        for line in code.splitlines() if language == "sh" else ():
            words = shlex.split(line, comments=True)
            if words[:1] == ["leomix"]:
                assert status(words[1:]) == 0, line
            elif words[:1] == ["python"] and not (ROOT / words[1]).exists():
                runpy.run_path(words[1])
            elif words[:1] == ["export"]:
                set_variable(*words[1].split("="))


def main(page, written, target):
    """Run ``page``; its folder ``written`` replaces the one of that name in ``target``."""
    page, target = Path(page).resolve(), Path(target).resolve() / written
    with tempfile.TemporaryDirectory(prefix="leomix-page-") as place:
        os.chdir(place)
        sys.path.insert(0, place)
        run_page(page)
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(Path(place, written), target)
        os.chdir(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
