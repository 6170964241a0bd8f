"""Pages that are written anew, and pages in notebooks, in a browser."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest

import sim
from sim.report import report
from tests.kit.browser import DESKTOP, Tab
from tests.kit.processes import wait_until
from tests.kit.watching import Live, Pages, State, WatchedRun

pytestmark = pytest.mark.process


@pytest.fixture
def watched(runs, tmp_path):
    """A run that goes on, as its folder looks; its tables are those of the complete run."""
    place = tmp_path / "run"
    place.mkdir()
    with Live(place):
        shutil.copytree(runs["orbit"], place / ".live" / "1")
        (place / ".live" / "1" / "report.html").unlink(missing_ok=True)
        yield Pages(WatchedRun(place), tmp_path / "live.html", 2.0)


def loaded_with(opened, text, *, is_there=True):
    """Wait until the page has been loaded again, and has a text or no longer has it."""
    from playwright.sync_api import Error

    def is_loaded():
        try:
            opened.page.wait_for_timeout(50)
            is_complete = opened.page.evaluate("document.readyState") == "complete"
            return is_complete and (text in opened.page.inner_text("main")) == is_there
        except Error:  # between two pages
            return False

    wait_until(is_loaded, "the page is loaded again", 30.0)


def test_a_page_of_a_run_that_goes_on_is_loaded_again_and_keeps_its_place(browser, watched, runs):
    assert watched.write(State("0.50 of 1.5 days, cycle 2", since="since 12:00 UTC"))
    opened = Tab(browser, watched.path, viewport=DESKTOP)
    page = opened.page
    assert "This run has gone on since 12:00 UTC: 0.50 of 1.5 days" in page.inner_text("main")
    page.locator("section > details > summary").last.click()
    page.get_by_role("button", name="Next contact").click()
    elapsed = page.locator(".replay .elapsed").inner_text()
    target = page.locator(".chart select[data-pick]:visible").last
    usual = target.input_value()
    values = target.evaluate("one => [...one.options].map(option => option.value)")
    other = next(value for value in values if value != usual)
    target.select_option(other)
    page.evaluate("scrollTo(0, 700)")
    assert watched.write(State("0.70 of 1.5 days, cycle 3", since="since 12:00 UTC"))
    loaded_with(opened, "0.70 of 1.5 days, cycle 3")
    assert page.locator("section > details").last.evaluate("one => one.open")
    assert page.locator(".replay .elapsed").inner_text() == elapsed
    assert target.input_value() == other
    assert page.evaluate("scrollY") == 700
    # Whoever plays is not interrupted.
    page.get_by_role("button", name="Play").click()
    page.evaluate("window.before = true")
    page.wait_for_timeout(4000)
    assert page.evaluate("window.before")
    page.get_by_role("button", name="Pause").click()
    # The last page is not loaded again.
    report([runs["orbit"]], watched.path)
    loaded_with(opened, "has gone on", is_there=False)
    page.evaluate("window.before = true")
    page.wait_for_timeout(4000)
    assert page.evaluate("window.before")
    assert opened.said == []
    assert {address.partition(":")[0] for address in opened.asked} == {"file"}
    opened.context.close()


def test_a_page_that_is_not_written_any_more_says_so(browser, watched):
    assert watched.write(State("0.50 of 1.5 days, cycle 2", since="since 12:00 UTC"))
    text = watched.path.read_text()
    written = text.partition('data-written="')[2].partition('"')[0]
    old = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
    fresh = Tab(browser, watched.path, viewport=DESKTOP)
    assert "It has not been written since" not in fresh.page.inner_text("#renewed")
    watched.path.write_text(text.replace(written, old))
    stale = Tab(browser, watched.path, viewport=DESKTOP)
    assert "It has not been written since" in stale.page.inner_text("#renewed")
    assert stale.said == []
    for one in (fresh, stale):
        one.context.close()


def test_a_comparison_in_a_notebook_draws_its_chart(browser, runs, tmp_path):
    found = sim.compare([runs["orbit"], runs["orbit-timing"]])
    (tmp_path / "cell.html").write_text(f"<p>A cell</p>{found._repr_html_()}", encoding="utf-8")
    opened = Tab(browser, tmp_path / "cell.html", viewport=DESKTOP)
    frame = opened.page.frame_locator("iframe")
    assert frame.locator(".chart svg path").count()
    frame.get_by_role("button", name="Next contact").click()
    assert frame.locator(".replay").get_attribute("data-serving")
    assert opened.said == []
    opened.context.close()
