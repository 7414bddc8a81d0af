# SPDX-License-Identifier: MIT
"""A headless Chromium by the WebDriver protocol (w3.org/TR/webdriver2), which chromedriver speaks over HTTP."""
import base64
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--hide-scrollbars"]


class Browser:
    """One session; everything is gone when it is left."""

    def __enter__(self):
        self.home = tempfile.mkdtemp(prefix="lapmark-browser-")
        self.session = None
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True, env=dict(os.environ, HOME=self.home))
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        started = (re.search(r"on port ([1-9]\d*)", line) for line in self.driver.stdout)
        port = int(next(found for found in started if found).group(1))
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        options = {"args": ARGUMENTS + [f"--user-data-dir={self.home}/profile"], "binary": shutil.which("chromium")}
        capabilities = {"browserName": "chrome", "goog:chromeOptions": options,
                        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self.session = self.request("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})["sessionId"]

    def __exit__(self, *_):
        try:
            if self.session:
                self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()
            shutil.rmtree(self.home, ignore_errors=True)

    def request(self, method, path, body=None):
        self.connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        value = json.loads(self.connection.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(f"{value['error']}: {value['message']}")
        return value

    def call(self, method, path, body=None):
        return self.request(method, f"/session/{self.session}{path}", body)

    def open(self, file):
        self.call("POST", "/url", {"url": pathlib.Path(file).resolve().as_uri()})

    def run(self, script, *arguments):
        """What the body of a function gives back."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script, *arguments):
        """What the function `done` in it is called with."""
        return self.call("POST", "/execute/async", {"script": "const done = arguments[arguments.length - 1];" + script,
                                                    "args": list(arguments)})

    def find(self, selector):
        return self.call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        self.call("POST", f"/element/{self.find(selector)}/click", {})

    def press(self, key):
        """To what has the focus."""
        keys = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": keys}]})

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def settle(self):
        """Until the page has been drawn once more: events of what was changed have come."""
        self.run_async("requestAnimationFrame(() => requestAnimationFrame(() => done()))")

    def resize(self, width, height=900):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.settle()

    def prefer(self, scheme):
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.settle()

    def log(self, kind="browser"):
        """What was logged since the last time."""
        return self.call("POST", "/se/log", {"type": kind})

    def screenshot(self, file, full=False):
        data = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=full)["data"]
        pathlib.Path(file).write_bytes(base64.b64decode(data))
