"""A headless Chromium, steered by its own protocol (https://chromedevtools.github.io/devtools-protocol/) over a pipe.

with Browser() as browser, browser.open(path, width=360, dark=True) as page:
    page.evaluate("document.title")
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
LIMIT = 60  # seconds for an answer
_FLAGS = (
    "--headless",
    "--no-sandbox",  # its sandbox does not run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--remote-debugging-pipe",
)


def program() -> str | None:
    """Return the browser that this machine has, if it has one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One process of it."""

    def __enter__(self) -> Browser:
        found = program()
        assert found, f"there is no browser: {', '.join(NAMES)}"
        self._profile = tempfile.mkdtemp(prefix="kolla-drain-browser-")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # It reads from 3 and writes to 4.
        command = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, "bash", found, *_FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._rest = 0, b""
        self.events: list[dict[str, Any]] = []
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """Call a method; AssertionError with the browser's words if it fails."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda told: told.get("id") == self._number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return dict(answer["result"])

    def await_event(self, method: str, session: str) -> None:
        """Wait for an event that has not been waited for yet."""
        wanted = {"method": method, "sessionId": session}

        def is_it(told: dict[str, Any]) -> bool:
            return wanted.items() <= told.items()

        if not any(map(is_it, self.events)):
            self._until(is_it)

    def _until(self, wanted: Any) -> dict[str, Any]:
        deadline = time.monotonic() + LIMIT
        while True:
            while b"\0" in self._rest:
                message, self._rest = self._rest.split(b"\0", 1)
                told = json.loads(message)
                if "method" in told:
                    self.events.append(told)
                if wanted(told):
                    return dict(told)
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"the browser has not answered within {LIMIT} s"
            received = os.read(self._in, 1 << 20)
            assert received, "the browser has ended"
            self._rest += received

    @contextlib.contextmanager
    def open(self, path: Path, width: int, height: int = 900, *, dark: bool = False) -> Iterator[Page]:
        """Open a file as a page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.events.clear()
        page = Page(self, session, width)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        page.call("Page.navigate", url=path.resolve().as_uri())
        self.await_event("Page.loadEventFired", session)
        yield page
        self.call("Target.closeTarget", targetId=target)


class Page:
    """An open page."""

    def __init__(self, browser: Browser, session: str, width: int) -> None:
        self._browser, self._session, self.width = browser, session, width

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def said(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of all events of a kind since the page was opened."""
        return [told["params"] for told in self._browser.events if told["method"] == method]

    def press(self, key: str, code: int) -> None:
        """Press a key and let it go."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                **(text if kind == "keyDown" else {}),
            )  # fmt: skip

    def picture(self, *, whole: bool = True) -> bytes:
        """Return the whole page, or what of it the window shows, as a PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])

    def paper(self) -> bytes:
        """Return the page as a PDF."""
        printed = self.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
        return base64.b64decode(printed["data"])
