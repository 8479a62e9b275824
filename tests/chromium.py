"""A headless Chromium for tests, driven over its DevTools protocol."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    *("--disable-background-networking", "--remote-debugging-port=0"),
)
PATIENCE_SECONDS = 60


class Page:
    """A page that is open in it."""

    def __init__(self, tools: Any) -> None:
        self._tools, self._calls = tools, 0

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result."""
        self._calls += 1
        self._tools.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._tools.recv(timeout=PATIENCE_SECONDS))
            if told.get("id") == self._calls:
                assert "error" not in told, told
                return told["result"]

    def is_there(self) -> bool:
        """Whether it has begun to load, and so can be asked."""
        self._calls += 1
        ask = {"id": self._calls, "method": "Runtime.evaluate", "params": {"expression": "1"}}
        self._tools.send(json.dumps(ask))
        return "result" in json.loads(self._tools.recv(timeout=PATIENCE_SECONDS))

    def run(self, script: str) -> Any:
        """Evaluate an expression, promises awaited, and return what json can hold of it."""
        told = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def until(self, script: str, seconds: float = PATIENCE_SECONDS) -> float:
        """Wait until an expression holds; returns the seconds that took, and fails if it does not."""
        began = time.monotonic()
        while not self.run(script):
            assert time.monotonic() - began < seconds, f"not within {seconds} s: {script}"
            time.sleep(0.1)
        return time.monotonic() - began

    def press(self, *keys: tuple[str, str]) -> None:
        """Press keys, each (key, text)."""
        for key, text in keys:
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def resize(self, width: int, height: int, dark: bool = False) -> None:
        """Be as wide as some device, in the light or in the dark."""
        phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """Save what it shows."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def chromium(url: str, profile: Path, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """Open a page."""
    from websockets.sync.client import connect

    (name,) = [path for each in NAMES if (path := shutil.which(each))][:1]
    command = [name, *FLAGS, f"--window-size={width},{height}", f"--user-data-dir={profile}", url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told, began = profile / "DevToolsActivePort", time.monotonic()
        pages: list[Any] = []
        while not pages:
            assert time.monotonic() - began < PATIENCE_SECONDS, "Chromium does not start"
            time.sleep(0.1)
            if told.is_file() and (port := told.read_text().partition("\n")[0]):
                with urlopen(f"http://127.0.0.1:{port}/json") as answer:
                    pages = [each for each in json.load(answer) if each["type"] == "page"]
        with connect(pages[0]["webSocketDebuggerUrl"], max_size=None) as tools:
            page = Page(tools)
            while not page.is_there():
                time.sleep(0.1)
            yield page
    finally:
        process.terminate()
        process.wait()
