"""What code may do while it is loaded, which is in the function template, and what isolates then find."""

import subprocess
import time

import pytest

from conftest import FUNCTIONS
from languages import create

USES_TMP = """
import os, subprocess, tempfile
with tempfile.TemporaryDirectory() as folder:
    with open(folder + "/x", "w") as f:
        f.write("y" * 100000)
    read = open(folder + "/x").read()
open("/tmp/kept", "w").write("for nobody")
open("/dev/shm/shared", "w").write("for nobody")
child = subprocess.run(["sh", "-c", "echo child >/tmp/child; cat /tmp/child"], capture_output=True, text=True).stdout
try:
    open("/tmp/huge", "wb").write(b"x" * (600 << 20))
except OSError as error:
    full = error.errno
os.unlink("/tmp/huge")

def handler(event, context):
    before = sorted(os.listdir("/tmp"))
    open("/tmp/mine", "w").write("mine")
    return {"read": len(read), "child": child, "full": full, "before": before}
"""
WORKS_IN_TMP = """
import os
os.makedirs("/tmp/folder")
os.chdir("/tmp/folder")

def handler(event, context):
    before = os.listdir(".")
    open("mine", "w").write("mine")
    return {"directory": os.getcwd(), "before": before, "in tmp": os.listdir("/tmp")}
"""
LEAVES_OPEN = """
import os
kept = OPENED

def handler(event, context):
    return kept.read()
"""
JOBLIB = """
from multiprocessing import get_context
with get_context("fork").Lock() as held:
    pass
del held
lock = None

def handler(event, context):
    with get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, 2, -3])
"""


def deployed(daemon, code, **members):
    reply = create(daemon, "loading", "python", "app.handler", {"app.py": code.encode()}, **members)
    assert reply.status_code == 201, reply.text


def fresh(daemon, count=2):
    return [daemon.invoke("loading", {}).json() for _ in range(count)]


def test_tmp_is_there_and_isolates_have_their_own(daemon):
    deployed(daemon, USES_TMP, Tags={"polyvisor:isolation": "request"}, MemorySize=1024)
    assert fresh(daemon) == [{"read": 100000, "child": "child\n", "full": 28, "before": []}] * 2


def test_a_working_directory_in_tmp_is_the_isolates(daemon):
    deployed(daemon, WORKS_IN_TMP, Tags={"polyvisor:isolation": "request"})
    assert fresh(daemon) == [{"directory": "/tmp", "before": [], "in tmp": ["mine"]}] * 2


def test_semaphores_work_while_the_code_loads(daemon):
    """Joblib tries one when it is imported, and does everything in turn where that fails."""
    deployed(daemon, JOBLIB, Tags={"polyvisor:isolation": "request"})
    assert fresh(daemon) == [[1, 2, 3]] * 2


@pytest.mark.parametrize("opened", ['open("/tmp/left", "w+")', 'os.open("/tmp", os.O_RDONLY | os.O_DIRECTORY)'],
                         ids=["file", "directory"])
def test_what_isolates_would_share_is_refused(daemon, opened):
    deployed(daemon, LEAVES_OPEN.replace("OPENED", opened))
    reply = daemon.invoke("loading", {})
    assert "X-Amz-Function-Error" in reply.headers or reply.status_code >= 400
    assert "/tmp" in reply.text and "was open when the code had been loaded" in reply.text


def test_what_is_open_to_be_read_stays_open(daemon):
    deployed(daemon, LEAVES_OPEN.replace("OPENED", '(open("/tmp/left", "w").write("text"), open("/tmp/left"))[1]'),
             Tags={"polyvisor:isolation": "request"})
    assert fresh(daemon) == ["text"] * 2


COUNTS = {
    "python": ("app.py", """
seen = []
def handler(event, context):
    seen.append(event["n"])
    if event["n"] == 2:
        raise ValueError("not this one")
    return seen
""", "app.handler"),
    "node": ("app.js", """
const seen = [];
exports.handler = async (event) => {
	seen.push(event.n);
	if (event.n === 2)
		throw new RangeError("not this one");
	return seen;
};
""", "app.handler"),
    "java": ("Counts.java", """
import java.util.*;
public class Counts {
	static final List<Integer> seen = new ArrayList<>();
	public static List<Integer> handle(Map<String, Integer> event) {
		seen.add(event.get("n"));
		if (event.get("n") == 2)
			throw new IllegalStateException("not this one");
		return seen;
	}
}
""", "Counts::handle"),
}


def counting(language, folder):
    """The files of a function with two warm-up events, of which the second fails, and what is none."""
    name, code, handler = COUNTS[language]
    (folder / name).write_text(code)
    if language == "java":
        subprocess.run(["javac", "-d", folder, folder / name], check=True)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    events = {"10.json": b'{"n": 2}', "09.json": b'{"n": 1}', "11.text": b"no event", ".12.json": b"hidden"}
    return {**files, **{".polyvisor/warm-up/" + name: content for name, content in events.items()}}, handler


@pytest.mark.parametrize("language", COUNTS)
def test_warm_up_events_are_handled_before_there_are_isolates(daemon, language, tmp_path):
    files, handler = counting(language, tmp_path)

    def seen(**tags):
        daemon.request("DELETE", FUNCTIONS + "/loading")
        reply = create(daemon, "loading", language, handler, files, Tags={"polyvisor:" + key: tags[key] for key in tags})
        assert reply.status_code == 201, reply.text
        return [daemon.invoke("loading", {"n": 7}).json() for _ in range(2)]

    assert seen(isolation="request") == [[1, 2, 7]] * 2
    assert "not this one" in daemon.cli("logs", "loading").stdout
    assert seen(isolation="request", **{"warm-up": "3"}) == [[1, 2] * 3 + [7]] * 2
    assert seen(**{"warm-up": "0"}) == [[7], [7, 7]]
    assert seen(launch="exec") == [[7], [7, 7]]


@pytest.mark.parametrize("name, usual, other", [("OMP_WAIT_POLICY", "PASSIVE", "ACTIVE"), ("OPENBLAS_THREAD_TIMEOUT", "4", "26")])
def test_threads_of_libraries_wait_without_spinning_unless_told_otherwise(daemon, name, usual, other):
    code = f"import os\nfound = os.environ['{name}']\n\ndef handler(event, context):\n    return found\n"
    deployed(daemon, code)
    assert daemon.invoke("loading", {}).json() == usual
    daemon.request("DELETE", FUNCTIONS + "/loading")
    deployed(daemon, code, Environment={"Variables": {name: other}})
    assert daemon.invoke("loading", {}).json() == other


def test_a_forgotten_function_gives_its_memory_back(own_daemon):
    """Its isolates first, its template next; the next use makes both again."""
    daemon = own_daemon("--keep-alive", "1", "--template-keep-alive", "2", "--warm", "python")
    reply = create(daemon, "forgotten", "python", "index.handler", {"index.py": "handler = lambda event, context: 1"})
    assert reply.status_code == 201, reply.text

    def state():
        stats = {each["name"]: each for each in daemon.request("GET", "/polyvisor/stats").json()["functions"]}
        return stats["forgotten"]["template_ready"], stats["forgotten"]["isolates"]["idle"]

    for _ in range(2):
        assert daemon.invoke("forgotten", {}).headers["X-Polyvisor-Start"] == "first"
        assert daemon.invoke("forgotten", {}).headers["X-Polyvisor-Start"] == "warm"
        deadline = time.monotonic() + 20
        while state() != (False, 0):
            assert time.monotonic() < deadline, state()
            time.sleep(0.1)
