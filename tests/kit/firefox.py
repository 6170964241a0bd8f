"""Firefox, driven by WebDriver BiDi: pages in it, and what they say and ask for."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import subprocess
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

FIREFOX = shutil.which("firefox") or shutil.which("firefox-esr")
LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
EVENTS = ["log.entryAdded", "network.beforeRequestSent"]
# What a content policy forbids is no event: the page itself hears of it.
FORBIDDEN = """() => addEventListener("securitypolicyviolation",
  event => console.error(`forbidden: ${event.violatedDirective} ${event.blockedURI}`))"""


class Firefox:
    """A browser without a window; `said` and `asked` are those of the page that is open."""

    def __init__(self, profile: Path) -> None:
        assert FIREFOX is not None
        (profile / "user.js").write_text(
            'user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);\n'
        )
        self._loop = asyncio.new_event_loop()
        self.said: list[str] = []
        self.asked: list[str] = []
        self._number = 0
        self._process = subprocess.Popen(
            [
                *(FIREFOX, "--headless", "--no-remote", "--profile", str(profile)),
                *("--remote-debugging-port", "0"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            self._socket = self._run(self._connect(self._address()))
            self._call("session.new", capabilities={})
            self._call("session.subscribe", events=EVENTS)
            self._call("script.addPreloadScript", functionDeclaration=FORBIDDEN)
            tree = self._call("browsingContext.getTree")
            self._context = tree["contexts"][0]["context"]
        except BaseException:
            self.close()
            raise

    def _address(self) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := LISTENS.search(line):
                return f"{found[1]}/session"
        raise RuntimeError("firefox ended before it listened")

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(work, 60.0))

    async def _connect(self, address: str) -> WebSocketClientConnection:
        return await websocket_connect(address, max_message_size=1 << 26)

    def _call(self, method: str, **parameters: Any) -> Any:
        return self._run(self._answer(method, parameters))

    async def _answer(self, method: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        await self._socket.write_message(json.dumps(asked))
        while True:
            text = await self._socket.read_message()
            if text is None:
                raise RuntimeError(f"firefox hung up: {method}")
            message = json.loads(text)
            if message.get("id") == self._number:
                if message["type"] == "error":
                    raise RuntimeError(f"{method}: {message['message']}")
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "log.entryAdded":
            self.said.append(message["params"]["text"])
        if message.get("method") == "network.beforeRequestSent":
            self.asked.append(message["params"]["request"]["url"])

    def open(self, path: Path, viewport: dict[str, int]) -> None:
        """Open a page, and wait until it is complete."""
        self._call("browsingContext.setViewport", context=self._context, viewport=viewport)
        self.said.clear()
        self.asked.clear()
        where = {"context": self._context, "wait": "complete"}
        self._call("browsingContext.navigate", url=path.absolute().as_uri(), **where)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, which is text, a number or a truth value."""
        found = self._call(
            "script.evaluate",
            expression=expression,
            target={"context": self._context},
            awaitPromise=True,
        )
        if found["type"] == "exception":
            raise RuntimeError(found["exceptionDetails"]["text"])
        return found["result"].get("value")

    def screenshot(self) -> bytes:
        """Return the whole page as PNG."""
        taken = {"context": self._context, "origin": "document"}
        return base64.b64decode(self._call("browsingContext.captureScreenshot", **taken)["data"])

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._loop.close()
