"""Pages in Firefox: they ask for nothing and say nothing, and their scripts run."""

import pytest
import yaml

from sim.report import report
from tests.kit.browser import DESKTOP, PHONE
from tests.kit.firefox import FIREFOX, Firefox
from tests.kit.small import SLOTS

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(FIREFOX is None, reason="install firefox: pages are opened in it as well"),
]
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
SERVED = """(() => {
  document.querySelector(".replay [data-do=next]").click();
  return document.querySelector(".replay").dataset.serving;
})()"""
BLANK = """(() => {
  const canvas = document.querySelector(".replay .globe, .replay .lanes");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return !data.some(Boolean);
})()"""


@pytest.fixture
def pages(leomix, runs):
    def make(place):
        place.mkdir()
        report([runs["orbit-timing"]], place / "run.html")
        report([runs["slots"], runs["slots-synchronous"]], place / "comparison.html")
        (place / "s.yaml").write_text(yaml.safe_dump(SLOTS))
        line = (place / "s.yaml", "-p", "learning.method=synchronous,emsfl", "--quiet")
        short = ("--set", "stop.cycles=2", "--set", "learning.train=false")
        assert leomix("sweep", *line, *short, "-o", place / "swept").status == 0
        report([place / "swept"], place / "sweep.html")
        (place / "bad.html").write_text(
            "<!DOCTYPE html><meta http-equiv=Content-Security-Policy content=\"img-src 'none'\">"
            "<img src=http://127.0.0.1:47123/no.png><script>undefined.name</script>"
        )
        (place / "asks.html").write_text("<!DOCTYPE html><img src=http://127.0.0.1:47123/no.png>")

    return runs.made("firefox-pages", make)


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    opened = Firefox(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_pages_are_quiet_and_their_replays_play(firefox, pages, viewport):
    for name in ("run", "comparison", "sweep"):
        firefox.open(pages / f"{name}.html", viewport)
        firefox.evaluate(DRAWN)
        assert firefox.evaluate(SERVED), name
        firefox.evaluate(DRAWN)
        assert not firefox.evaluate(BLANK), name
        assert firefox.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        asked = [address for address in firefox.asked if not address.startswith("data:")]
        assert (firefox.said, asked) == ([], []), name


def test_what_a_page_does_wrong_is_noticed(firefox, pages):
    firefox.open(pages / "bad.html", DESKTOP)
    assert len(firefox.said) == 2
    firefox.open(pages / "asks.html", DESKTOP)
    assert "http://127.0.0.1:47123/no.png" in firefox.asked
