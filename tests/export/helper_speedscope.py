# SPDX-License-Identifier: MIT
"""Speedscope, the npm package's own page in a headless Chromium: what it makes of a file, by its export to its own format."""
import base64
import collections
import json
import os
import pathlib
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests/pages"))
import helper_browser  # noqa: E402

PACKAGE = os.environ.get("SPEEDSCOPE", "")
# It draws by WebGL, or does nothing at all.
ARGUMENTS = [argument for argument in helper_browser.ARGUMENTS if argument != "--disable-gpu"] + [
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]

# It takes a file as such a call, once it has asked for one; it exports at control-S, if it has imported something.
SCRIPT = """
const [name, base64] = arguments, warnings = [];
let has_saved = false;
window.alert = (text) => done({error: text});
console.error = (text) => done({error: String(text)});
window.addEventListener("unhandledrejection", (event) => done({error: String(event.reason)}));
console.warn = (text) => warnings.push(text);
URL.createObjectURL = (blob) => { has_saved = true; blob.text().then((text) => done({file: text, warnings: warnings})); return "#"; };
const ask = () => {
    if (has_saved)
        return;
    window.dispatchEvent(new KeyboardEvent("keydown", {key: "s", ctrlKey: true}));
    requestAnimationFrame(ask);
};
window.speedscope.loadFileFromBase64(name, base64);
ask();
"""


class Speedscope:
    """The page, for one file after another."""

    def __enter__(self):
        helper_browser.ARGUMENTS = ARGUMENTS
        self.browser = helper_browser.Browser()
        self.browser.__enter__()
        return self

    def __exit__(self, *_):
        self.browser.__exit__()

    def load(self, file):
        """What it exports, and what it warned of. A name may have it try one format alone; this one has not."""
        page = pathlib.Path(PACKAGE, "dist/release/index.html").as_uri()
        self.browser.call("POST", "/url", {"url": "about:blank"})
        self.browser.call("POST", "/url", {"url": f"{page}#localProfilePath=none"})
        loaded = self.browser.run_async(SCRIPT, "trace.json", base64.b64encode(pathlib.Path(file).read_bytes()).decode())
        if "error" in loaded:
            raise AssertionError(f"{file}: {loaded['error']}")
        return json.loads(loaded["file"]), loaded["warnings"]


Call = collections.namedtuple("Call", "name begin end depth around")


def calls(file, profile):
    """Those of one profile of a file of speedscope's, in the order of their begins; a profile's first time is 0."""
    found, stack = [], []
    frames, last = file["shared"]["frames"], profile["startValue"]
    for event in profile["events"]:
        assert event["at"] >= last, (event, last)
        last = event["at"]
        if event["type"] == "O":
            stack.append(len(found))
            found.append((event, len(stack)))
            continue
        number = stack.pop()
        opened, depth = found[number]
        assert opened["frame"] == event["frame"], (opened, event)
        around = found[stack[-1]][0] if stack else None
        found[number] = Call(frames[event["frame"]]["name"], opened["at"] - profile["startValue"], event["at"] - profile["startValue"],
                             depth - 1, around and frames[around["frame"]]["name"])
    # Its own end is a sum of differences.
    assert not stack and last <= profile["endValue"] * (1 + 1e-9), (stack, last, profile["endValue"])
    return found
