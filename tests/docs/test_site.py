"""The pages as Sphinx builds them: without warnings, all in reach of the start page."""

import json
import re
import subprocess
import sys
from importlib import import_module
from inspect import ismodule
from pathlib import Path

import pytest

from tests.kit.browser import Tab

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"


pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the pages, and run the notebook; a warning is an error, and so is a cell that fails."""
    pytest.importorskip("myst_nb", reason="the pages need myst-nb: pip install -e .[docs]")
    place = tmp_path_factory.mktemp("site")
    line = ["-q", "-W", "--keep-going", "-b", "html", "-d", str(place / "trees"), str(DOCS)]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *line, str(place / "html")], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    return place / "html"


def test_every_page_is_on_the_start_page_and_every_public_name_on_that_of_names(site):
    start = (site / "index.html").read_text()
    for page in sorted([*DOCS.rglob("*.md"), *DOCS.glob("*.ipynb")]):
        place = page.relative_to(DOCS).with_suffix(".html").as_posix()
        assert f'href="{place}"' in start or page.stem == "index", page.name
    shown = set(re.findall(r'id="([\w.]+)"', (site / "commands.html").read_text()))
    for room in ("sim", "scenarios", "orbit", "channel", "learning"):
        module = import_module(room)
        public = {n: getattr(module, n) for n in module.__all__}
        home = {n: getattr(v, "__module__", "") for n, v in public.items() if not ismodule(v)}
        missing = {n for n in home if not shown & {f"{room}.{n}", f"{home[n]}.{n}"}}
        assert missing <= {name for name in home if name.isupper()} | {"Scenario"}


def test_the_tutorial_shows_what_its_cells_return(site):
    cells = json.loads((DOCS / "tutorial.ipynb").read_text())["cells"]
    assert not any(cell.get("outputs") for cell in cells), "results are made by the site"
    shown = (site / "tutorial.html").read_text()
    results = sum(cell["cell_type"] == "code" for cell in cells) - 1  # an import shows nothing
    assert shown.count('class="cell_output') >= results
    assert shown.count('alt="accuracy over simulated time"') >= 2  # results show themselves
    pictures = re.findall(r'src="(_images/[^"]+)"', shown)
    assert len(pictures) == 3 and all((site / name).is_file() for name in pictures)


FOUND = {
    "acquisition_s": "scenarios.html#keys-ground",
    "learning.step_size": "scenarios.html#keys-learning",
    "leomix capacity": "commands.html#leomix-capacity",
    "gateway": "glossary.html#places-and-contacts",
}


def test_the_search_finds_sections_on_a_disk_without_a_network(site, browser):
    tab = Tab(browser, site / "annex" / "results.html")
    for words, first in FOUND.items():
        tab.page.fill("input[name=q]", words)
        tab.page.press("input[name=q]", "Enter")
        link = tab.page.locator("#search-results a").first
        link.wait_for()
        assert link.get_attribute("href") == first, words
        shown = tab.page.locator("#search-results mark").first.inner_text()
        assert words.split()[0].startswith(shown.lower())
        link.click()
        tab.page.wait_for_url(f"**/{first}")
    assert tab.said == [] and all(url.startswith("file:") for url in tab.asked)
