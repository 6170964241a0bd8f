"""The pages as Sphinx builds them: without warnings, all in reach of the start page."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"


pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the pages; a warning is an error."""
    place = tmp_path_factory.mktemp("site")
    line = ["-q", "-W", "--keep-going", "-b", "html", "-d", str(place / "trees"), str(DOCS)]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *line, str(place / "html")], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    return place / "html"


def test_every_page_is_on_the_start_page_and_every_public_name_on_that_of_names(site):
    start = (site / "index.html").read_text()
    for page in sorted(DOCS.glob("*.md")):
        assert f'href="{page.stem}.html"' in start or page.stem == "index", page.name
    shown = set(re.findall(r'id="([\w.]+)"', (site / "api.html").read_text()))
    for room in ("sim", "scenarios", "orbit", "channel", "learning"):
        module = import_module(room)
        home = {n: getattr(getattr(module, n), "__module__", "") for n in module.__all__}
        missing = {n for n in home if not shown & {f"{room}.{n}", f"{home[n]}.{n}"}}
        assert missing <= {name for name in home if name.isupper()} | {"Scenario"}
