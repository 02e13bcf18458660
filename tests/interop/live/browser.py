"""Debian's Chromium without a window, for tests that look at pages: what they say once their scripts have run, and pictures of it."""
import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import sys
import time

from harness import PATIENCE, Child, Stack, until

PROGRAM = "chromium"
# What Chromium says when it is asked of a page that a link or a script leads away from.
BETWEEN_PAGES = ("Inspected target navigated or closed", "Execution context was destroyed", "Cannot find default execution context")


def require():
    """Ends the test as skipped where there is no Chromium."""
    if not shutil.which(PROGRAM):
        print(f"skipped: there is no {PROGRAM}; the Debian package chromium has it (./dev setup browser)", file=sys.stderr)
        sys.exit(77)


class Browser:
    """One tab. Speaks the DevTools protocol over two pipes, so that nobody else can.

    https://chromedevtools.github.io/devtools-protocol/
    """

    def __init__(self, stack: Stack):
        from_us, self.commands = os.pipe()
        self.replies, to_us = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4. It has nothing to guard against here, and no sandbox as root.
        flags = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--disable-background-networking", "--disable-breakpad", "--no-first-run", "--hide-scrollbars",
                 "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", f"--user-data-dir={stack.folder / 'chromium'}"]
        self.stack = stack
        self.child = Child("chromium", ["bash", "-c", f'exec "$@" 3<&{from_us} 4>&{to_us}', "bash", PROGRAM, *flags], stack.folder,
                           {"HOME": str(stack.folder)}, pass_fds=(from_us, to_us))
        stack.children.append(self.child)
        os.close(from_us)
        os.close(to_us)
        self.buffer, self.last_id, self.session = b"", 0, None
        self.errors: list[str] = []  # What scripts of pages threw.
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Runtime.enable")
        self.call("Page.enable")
        self.resize(1400)

    def close(self):
        with contextlib.suppress(AssertionError, OSError):
            self.session = None
            self.call("Browser.close")
        self.stack.stop_at_once(self.child)
        os.close(self.commands)
        os.close(self.replies)

    def call(self, method: str, **parameters) -> dict:
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data):]
        deadline = time.monotonic() + PATIENCE
        while (answer := self._next(deadline)).get("id") != self.last_id:
            if answer.get("method") == "Runtime.exceptionThrown":
                details = answer["params"]["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description", details["text"]))
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def _next(self, deadline) -> dict:
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.replies], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.replies, 1 << 16) if ready else b""
            if not piece:
                self.child.check_alive()
                raise AssertionError(f"Chromium says nothing:\n{self.child.log_end()}")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def resize(self, width: int, height=900):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def open(self, url: str):
        """Returns when the page and what it names is loaded; what its scripts fetch comes later."""
        done = self.call("Page.navigate", url=url)
        if "errorText" in done:
            raise AssertionError(f"{url}: {done['errorText']}")
        until(lambda: self.evaluate("document.readyState") == "complete" and self.evaluate("location.href") == url, f"{url} is loaded")

    def evaluate(self, expression: str):
        """In the page that is there, or the one that is about to be when the last has just gone."""
        def answered():
            try:
                return self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
            except AssertionError as error:
                if not any(words in str(error) for words in BETWEEN_PAGES):
                    raise
                return None
        result = until(answered, f"there is a page to evaluate {expression} in")
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def text(self, selector="body") -> str:
        """What a person reads there: nothing of what is hidden; empty when there is no such element."""
        return self.evaluate(f"(found => found?.checkVisibility() ? found.innerText : '')(document.querySelector({json.dumps(selector)}))")

    def rows(self, selector: str) -> list[list[str]]:
        """The cells of a table's visible rows."""
        return self.evaluate(f"[...document.querySelectorAll({json.dumps(selector + ' tr')})].filter(row => row.offsetParent)"
                             ".map(row => [...row.cells].map(cell => cell.innerText.trim()))")

    def is_opaque(self, selector: str) -> bool:
        """Whether it is there to be seen, and has come to the end of fading in."""
        return self.evaluate(f"(found => found.checkVisibility() && getComputedStyle(found).opacity === '1')"
                             f"(document.querySelector({json.dumps(selector)}))")

    def click(self, selector: str):
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def picture(self, path: pathlib.Path):
        """Of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))
