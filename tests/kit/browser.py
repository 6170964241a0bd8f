"""Chromium, and pages in it that keep what it says and asks for."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PHONE = {"width": 390, "height": 844}
TABLET = {"width": 768, "height": 1000}
DESKTOP = {"width": 1280, "height": 900}
LOOK = Path(__file__).with_name("look.js").read_text()
"""What is wrong on a page: small text, text on text, sideways scroll; lines of its headline."""


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium without a window, while it is needed."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


class Tab:
    """A page, and everything that the browser has to say about it."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(reduced_motion="reduce", **options)
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def unfold(self, section: str) -> None:
        """Open what is folded in a section."""
        self.page.locator(f"#{section} > details > summary").click(timeout=5000)


@contextmanager
def tabs(browser: Any, folder: Path) -> Iterator[Callable[..., Tab]]:
    """Open pages of a folder by name; they are closed at the end."""
    opened: list[Tab] = []

    def open_one(name: str, viewport: Mapping[str, int] = DESKTOP, **options: Any) -> Tab:
        opened.append(Tab(browser, folder / f"{name}.html", viewport=viewport, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.context.close()
