"""A real Chromium, without a window, that looks at pages of a gallery from the folder, as people do."""

import base64
import contextlib
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from axe_core_python.base import AXE_SCRIPT
from numpy.typing import NDArray
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

__all__ = ["Browser", "chromium"]

DESKTOP, PHONE = (1280, 900), (390, 844)
_LIMIT_SECONDS = 60.0
_DRIVER_LIMIT_SECONDS = 120


@contextlib.contextmanager
def chromium() -> Iterator["Browser"]:
    """A browser while the context lasts. Raises AssertionError where there is none."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program and driver, "these tests need Debian's packages chromium and chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        chrome.set_page_load_timeout(_DRIVER_LIMIT_SECONDS)
        chrome.set_script_timeout(_DRIVER_LIMIT_SECONDS)
        yield Browser(chrome)
    finally:
        chrome.quit()


class Browser:
    """What a test does with a browser, and sees in it."""

    def __init__(self, chrome: webdriver.Chrome) -> None:
        self.chrome = chrome

    def reset(self) -> None:
        """An empty page of a desktop's size, by day, and no memory of what was before."""
        self.chrome.get("about:blank")
        self.resize(*DESKTOP)
        self.emulate()
        self.chrome.get_log("performance")
        self.chrome.get_log("browser")

    def emulate(self, media: str = "", **features: str) -> None:
        """Show pages as another ``media`` type, or to somebody whose system asks for these ``features``."""
        wanted = {"prefers_color_scheme": "light", **features}
        pairs = [{"name": name.replace("_", "-"), "value": value} for name, value in wanted.items()]
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": pairs})

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def open(self, page: Path, hash_: str = "") -> None:
        self.chrome.get(page.as_uri() + hash_)
        self.wait("document.readyState === 'complete'")

    @contextlib.contextmanager
    def noting(self, **conditions: str) -> Iterator[Callable[[], dict[str, float]]]:
        """Pages that are opened meanwhile note when each condition, an expression of JavaScript, was true first.

        Yields a function that returns these times, in seconds since the page was asked for, by the page's own clock.
        """
        tests = ", ".join(f"{name}: () => {condition}" for name, condition in conditions.items())
        script = (
            f"window.noted = {{}}; const tests = {{{tests}}}; new MutationObserver(() => {{"
            "for (const [name, test] of Object.entries(tests)) {"
            "if (!(name in noted) && document.body && test()) noted[name] = performance.now() / 1000; }"
            "}).observe(document, {subtree: true, childList: true, characterData: true});"
        )
        command = "Page.addScriptToEvaluateOnNewDocument"
        added = self.chrome.execute_cdp_cmd(command, {"source": script})
        yield lambda: self.value("window.noted")
        self.chrome.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)

    def open_index(self, outbox: Path, hash_: str = "") -> None:
        """Open the page of all paintings, and wait until it has read the list."""
        self.open(outbox / "index.html", hash_)
        self.wait("document.getElementById('summary').textContent")

    def run(self, script: str, *arguments: object) -> Any:
        return self.chrome.execute_script(script, *arguments)

    def value(self, expression: str, *arguments: object) -> Any:
        return self.run(f"return {expression}", *arguments)

    def wait(self, expression: str, *arguments: object) -> Any:
        """Wait until an expression of JavaScript is true, and return it."""
        deadline = time.monotonic() + _LIMIT_SECONDS
        while not (found := self.value(expression, *arguments)):
            assert time.monotonic() < deadline, f"waited {_LIMIT_SECONDS:.0f} s in vain for {expression}"
            time.sleep(0.05)
        return found

    def find(self, css: str) -> WebElement:
        return self.chrome.find_element(By.CSS_SELECTOR, css)

    def texts(self, css: str) -> list[str]:
        """The text of all that is shown and matches."""
        return self.value(
            "[...document.querySelectorAll(arguments[0])].filter(n => n.offsetParent).map(n => n.innerText)", css
        )

    def hrefs(self, css: str) -> list[str]:
        """Where the links lead that match."""
        return self.value("[...document.querySelectorAll(arguments[0])].map(link => link.href)", css)

    def titles(self) -> list[str]:
        """The titles on the wall, from its beginning."""
        return self.texts(".card .title")

    def pixels(self, css: str) -> NDArray[np.uint8]:
        """What of the screen the first match takes, (H, W, 3); it is scrolled to."""
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", css)
        picture = Image.open(io.BytesIO(base64.b64decode(self.find(css).screenshot_as_base64)))
        return np.array(picture.convert("RGB"))

    def touch(self, css: str, *shares: float) -> None:
        """Lay a finger on the first match at the first share of its width, and draw it through the others."""
        box = self.value("document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", css)
        points = [{"x": box["x"] + share * box["width"], "y": box["y"] + box["height"] / 2} for share in shares]
        for number, point in enumerate(points):
            kind = "touchMove" if number else "touchStart"
            self.chrome.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        self.chrome.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def violations(self) -> list[str]:
        """What axe calls serious or critical on the page, in its own words."""
        self.run(AXE_SCRIPT)
        options = {"preload": False, "resultTypes": ["violations"]}  # its preload asks for files
        command = "const done = arguments[1]; axe.run(document, arguments[0]).then((found) => done(found.violations))"
        found = self.chrome.execute_async_script(command, options)
        return [
            f"{each['id']} ({each['impact']}): {node['html']} {node['failureSummary']}"
            for each in found
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]

    def complaints(self) -> list[str]:
        """What the console has said since this was last asked."""
        return [entry["message"] for entry in self.chrome.get_log("browser")]

    def requests(self) -> list[Path | str]:
        """What was asked for since this was last asked: paths of files, or addresses of anything else."""
        found: list[Path | str] = []
        for entry in self.chrome.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                parts = urlsplit(message["params"]["request"]["url"])
                found.append(Path(unquote(parts.path)) if parts.scheme == "file" else parts.geturl())
        return found
