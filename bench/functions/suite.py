"""The function suite: what the benchmarks run, in three languages, and how it is made ready.

    with server.Server() as web:
        for function in suite.prepare(directory, web.url):
            reply = ...                       # of function.handler in function.path, given function.event
            wrong = function.check(reply)     # None, or a sentence

Functions are ordinary AWS Lambda handlers and know nothing of polyvisor; in each folder the event is also there as polyvisor's
warm-up event (docs/lifecycle-hooks.md), which means nothing to others. prepare() copies each into `directory`, makes its
input files, compiles Java and installs npm packages there, and keeps what it made: the second time is quick.
"""

import dataclasses
import hashlib
import json
import pathlib
import shutil
import subprocess
import typing

import program
from functions import cases

HERE = pathlib.Path(__file__).resolve().parent
NPM_SECONDS, JAVAC_SECONDS = 180, 120


@dataclasses.dataclass(frozen=True)
class Function:
    name: str                  # unique in the suite: LANGUAGE-NAME
    language: str              # python, javascript or java
    path: pathlib.Path         # the folder: of the source, or, from prepare(), ready to be deployed
    handler: str
    make: typing.Callable      # (folder) -> (event, expected)
    compare: typing.Callable   # (reply, expected) -> None or a sentence
    packages: tuple = ()       # of Debian, beyond those that polyvisor needs to run
    needs_server: bool = False
    memory_mb: int = 512
    timeout_s: int = 30
    warm_up: int = 1           # rounds of its event that are worth their time before polyvisor clones its template
    event: bytes = b""
    check: typing.Callable = None  # (reply in bytes) -> None or a sentence

    @property
    def runtime(self):
        """What `polyvisor deploy --runtime` calls its language."""
        return "node" if self.language == "javascript" else self.language


def row(language, name, handler, make, compare=cases.check_equal, source=None, **more):
    return Function(f"{language}-{name}", language, HERE / language / (source or name), handler, make, compare, **more)


SUITE = [
    row("python", "hello", "app.handler", cases.make_hello),
    row("python", "dynamic-html", "app.handler", cases.make_page, cases.check_page, packages=("python3-jinja2",)),
    row("python", "thumbnail", "app.handler", cases.make_thumbnail, cases.check_thumbnail),
    row("python", "compression", "app.handler", cases.make_compression, cases.check_compression),
    row("python", "graph-bfs", "app.bfs", cases.make_bfs, source="graph", packages=("python3-igraph",)),
    row("python", "graph-pagerank", "app.pagerank", cases.make_pagerank, cases.check_pagerank, source="graph",
        packages=("python3-igraph",)),
    row("python", "graph-mst", "app.mst", cases.make_mst, source="graph", packages=("python3-igraph",)),
    row("python", "dna-visualisation", "app.handler", cases.make_dna, cases.check_dna, packages=("python3-numpy",)),
    row("python", "image-classification", "app.handler", cases.make_classification, cases.check_classification,
        packages=("python3-sklearn", "libopenblas0-pthread")),
    row("python", "video-to-gif", "app.handler", cases.make_gif, cases.check_gif, packages=("ffmpeg",)),
    row("python", "analytics", "app.handler", cases.make_analytics, packages=("python3-pandas",)),
    row("javascript", "hello", "index.handler", cases.make_hello, warm_up=10),
    row("javascript", "dynamic-html", "index.handler", cases.make_page, cases.check_page, warm_up=10),
    row("javascript", "thumbnail", "index.handler", cases.make_thumbnail, cases.check_thumbnail, warm_up=2),
    row("javascript", "uploader", "index.handler", cases.make_uploader, needs_server=True, warm_up=10),
    row("java", "hello", "Hello", cases.make_hello, warm_up=20),
    row("java", "file-hashing", "FileHashing", cases.make_hashing, warm_up=5),
    row("java", "http-request", "HttpRequest", cases.make_request, needs_server=True, warm_up=10),
    row("java", "json", "Orders", cases.make_orders, warm_up=20),
    row("java", "thumbnail", "Thumbnail", cases.make_thumbnail, cases.check_thumbnail, warm_up=5),
]


def installed(package):
    state = subprocess.run(["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package],
                           capture_output=True, text=True).stdout
    return state == "installed"


def missing(function):
    """The packages that a function needs and this machine lacks."""
    return [package for package in function.packages if not installed(package)]


def compile_java(folder, java_api):
    sources = sorted(folder.glob("*.java"))
    subprocess.run(["javac", "--release", "17", "-encoding", "UTF-8", "-cp", java_api, "-d", folder, *sources], check=True,
                   timeout=JAVAC_SECONDS, stdin=subprocess.DEVNULL)
    for source in sources:
        source.unlink()


def install_npm(folder):
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True,
                   timeout=NPM_SECONDS, stdin=subprocess.DEVNULL)


def fingerprint(function):
    """Of everything that what prepare() makes depends on."""
    digest = hashlib.sha256()
    files = [*function.path.rglob("*"), HERE / "cases.py", HERE / "inputs.py", HERE / "suite.py"]
    for path in sorted(path for path in files if path.is_file() and path.suffix != ".pyc"):
        digest.update(str(path.relative_to(HERE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def make(function, folder, java_api):
    """The function's folder, made anew; what it is asked and must answer."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(function.path, folder)
    event, expected = function.make(folder)
    if function.language == "java":
        compile_java(folder, java_api or program.beside("runtimes/java/polyvisor-java-api.jar"))
    if (folder / "package-lock.json").exists():
        install_npm(folder)
    return {"made of": fingerprint(function), "event": event, "expected": expected}


def make_once(function, folder, java_api):
    kept = folder.with_name(folder.name + ".json")
    if kept.exists() and folder.exists():
        case = json.loads(kept.read_text())
        if case["made of"] == fingerprint(function):
            return case
    case = make(function, folder, java_api)
    kept.write_text(json.dumps(case))
    return case


def write_warm_up(folder, event):
    (folder / ".polyvisor/warm-up").mkdir(parents=True, exist_ok=True)
    (folder / ".polyvisor/warm-up/event.json").write_bytes(event)


def checker(compare, expected):
    """A check of replies in bytes. A reply that was right once is right again, and costs a benchmark nothing."""
    right = set()

    def check(reply):
        if reply in right:
            return None
        try:
            wrong = compare(json.loads(reply), expected)
        except Exception as error:
            return f"the reply {reply[:120]!r} cannot be checked: {type(error).__name__}: {error}"
        if wrong is None:
            right.add(reply)
        return wrong
    return check


def prepare(directory, server_url=None, java_api=None, suite=None, progress=lambda name: None):
    """The functions of `suite` (all), ready in `directory`; without those that this machine lacks a package for or, where
    there is no server_url, that need the server. progress(name) is called before each."""
    ready = []
    for function in SUITE if suite is None else suite:
        if missing(function) or function.needs_server and not server_url:
            continue
        progress(function.name)
        folder = pathlib.Path(directory).resolve() / function.name
        case = make_once(function, folder, java_api)
        event = json.dumps(case["event"], ensure_ascii=False).replace(cases.SERVER, server_url or "").encode()
        write_warm_up(folder, event)
        ready.append(dataclasses.replace(function, path=folder, event=event,
                                         check=checker(function.compare, case["expected"])))
    return ready
