"""Hostile functions and what comes of them. The attacks are in hostile/, each with what is expected of it; the
table of them in SECURITY.md is kept true here.

From an isolate: its handler tries, confined as every handler is. From the function template: the code tries while
it is loaded, where it has CAP_SYS_ADMIN in a user namespace of its own.
"""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

import conftest
import languages
import table
import world as worlds
from world import ROWS, leaks, rows

SECURITY = conftest.ROOT / "SECURITY.md"


@pytest.fixture(scope="module")
def hostile(world):
    world.create_hostile("hostile")
    yield "hostile"
    world.remove("hostile")


@pytest.fixture(scope="module")
def at_import(world):
    """The outcomes of all attacks from a function template, which tries them in a row."""
    world.create_hostile("loads", {"at_import.txt": " ".join(rows("template"))}, Timeout=60)
    reply = world.invoke("loads", {"at_import": True}, 60).json()
    assert isinstance(reply, dict) and "errorMessage" not in reply, reply
    yield reply
    world.remove("loads")


@pytest.mark.parametrize("name", rows("isolate"))
def test_from_an_isolate(world, hostile, name):
    reply = world.invoke(hostile, {"try": [name]}).json()
    assert reply.get(name) in ROWS[name].expected("isolate"), reply
    world.check()


@pytest.fixture(scope="module")
def berthed(world):
    """Isolates that are made in namespaces of before their launch; see src/supervisor/launch/berth.h."""
    world.create_hostile("berthed", Tags={"polyvisor:isolation": "request"})
    yield "berthed"
    world.remove("berthed")


# It is not PID 1 there, so that the kernel does not keep it from signals of its own and of its children.
NOT_IN_A_BERTH = {"signal_itself"}


@pytest.mark.parametrize("name", [name for name in rows("isolate") if name not in NOT_IN_A_BERTH])
def test_from_an_isolate_in_a_berth(world, berthed, name):
    reply = worlds.wait_until(lambda: world.invoke(berthed, {"try": [name], "berth": True}).json(), "a berth")
    assert reply.get(name) in ROWS[name].expected("isolate"), reply
    world.check()


@pytest.mark.parametrize("name", rows("template"))
def test_from_a_function_template(world, at_import, name):
    assert at_import.get(name) in ROWS[name].expected("template")
    world.check()


@pytest.fixture
def held(world, hostile):
    """A sibling that holds something worth taking; the next invocation is another isolate's."""
    said = {}
    before = world.log(hostile).count("holding")
    thread = threading.Thread(target=lambda: said.update(reply=world.invoke(hostile, {"hold": 2}).json()))
    thread.start()
    worlds.wait_until(lambda: world.log(hostile).count("holding") > before, "the sibling to run")
    yield
    thread.join()
    assert said["reply"] == "untouched"


def test_siblings(world, hostile, held):
    names = rows("isolate", "siblings")
    reply = world.invoke(hostile, {"try": names}).json()
    expected = {name: ROWS[name].expected("isolate") for name in names}
    if worlds.landlock_abi() < 6:  # Linux 6.12
        expected["sibling_abstract_socket"] = ["succeeds"]
    assert {name: reply.get(name) for name in names if reply.get(name) not in expected[name]} == {}
    world.check()


def memory_of(pid):
    """The secrets in it, as root sees it."""
    found = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps.read().splitlines():
            span, access = line.split()[:2]
            start, end = (int(word, 16) for word in span.split("-"))
            try:
                memory.seek(start)
                found |= leaks.find_secrets(memory.read(end - start)) if access[0] == "r" else set()
            except (OSError, ValueError, OverflowError):
                continue
    return found


def links_of(pid):
    folder = pathlib.Path(f"/proc/{pid}/fd")
    return {int(entry.name): os.readlink(entry) for entry in folder.iterdir()}


def test_the_supervisors_processes_from_outside(world, hostile, held):
    """Who runs a tenant's code, who holds what, and what is left in the memory that functions are made of."""
    first_uid = 1900544000
    tenants, inits, runtimes = {}, {}, {}
    for pid, fields in world.processes().items():
        if fields["Name"] == "polyvisor-init":
            inits[pid] = fields
        elif pathlib.Path(f"/proc/{pid}/root/var/task").exists() and os.listdir(f"/proc/{pid}/root/var/task"):
            tenants[pid] = fields
        elif fields["Name"] in ("python3", "node", "java") and len(fields["NSpid"].split()) == 2:
            runtimes[pid] = fields
    assert len(inits) >= 2 and len(runtimes) == 3 and len(tenants) >= 4
    # One user of the machine for each function, never root, no group of anybody.
    for fields in tenants.values():
        assert int(fields["Uid"].split()[0]) >= first_uid, fields
        assert len({*fields["Uid"].split(), *fields["Gid"].split()}) == 1 and not fields["Groups"].strip()
        assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2" and int(fields["CapBnd"], 16) == 0
    users = {}
    for pid, fields in tenants.items():
        users.setdefault(fields["Uid"].split()[0], set()).add(os.readlink(f"/proc/{pid}/ns/net"))
    assert len(users) >= 2 and len(set().union(*users.values())) == sum(map(len, users.values())) == len(users)
    for pid, fields in inits.items():
        assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
        assert list(links_of(pid).values()) == ["anon_inode:[pidfd]"]
    assert {world.secret, world.supervisor_secret} <= memory_of(world.daemon.pid)  # or the search is blind
    for pid, fields in runtimes.items():
        links = links_of(pid)
        kinds = {link.split(":")[0] for link in links.values()}
        assert not kinds & {"mnt", "pid", "user", "net"}, links
        assert "anon_inode:[pidfd]" not in links.values(), links
        assert not memory_of(pid), f"the template of {fields['Name']} remembers"
        # Its console and its control socket: nothing of another function, nothing of the supervisor's.
        if fields["Name"] == "python3":
            assert sorted(link.split(":")[0] for link in links.values()) == ["/dev/null", "pipe", "pipe", "socket"]
    world.check()


KCMP = 312
DEVICES = {"/dev/null", "/dev/random", "/dev/urandom"}  # have no state but flags that change nothing for them


def open_files(pid):
    """The kernel's objects behind its descriptors, as far as they are not devices."""
    return {number: link for number, link in links_of(pid).items() if link not in DEVICES}


def share_an_open_file(one, other):
    libc = ctypes.CDLL(None, use_errno=True)
    return [(link, number) for first, link in open_files(one).items() for number in open_files(other)
            if libc.syscall(KCMP, one, other, 0, ctypes.c_ulong(first), ctypes.c_ulong(number)) == 0]


def test_no_open_file_is_shared(world, tmp_path_factory):
    """Not between functions, not with what they are cloned from, not with the supervisor; in all languages."""
    names = [languages.create_probe(world.daemon, language, tmp_path_factory.mktemp("probe"), f"shares-{language.name}")
             for language in languages.LANGUAGES]
    for name in names:
        assert world.invoke(name, {"do": "echo"}).json() == {}
    pids = [pid for pid, fields in world.processes().items() if fields["Name"] in ("python3", "node", "java")]
    pids.append(world.daemon.pid)
    shared = {(one, other): files for i, one in enumerate(pids) for other in pids[:i]
              if (files := share_an_open_file(one, other))}
    for name in names:
        world.remove(name)
    assert len(pids) >= 3 * 3 + 3 and shared == {}
    world.check()


def build_raw(folder):
    """The system calls of hostile functions in JavaScript and Java."""
    library = folder / "raw.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, worlds.HOSTILE / "raw.c"], check=True)
    return library.read_bytes()


def javascript(folder):
    return "hostile.handler", {"hostile.js": (worlds.HOSTILE / "node/hostile.js").read_bytes(), "raw.node": build_raw(folder)}


def java(folder):
    subprocess.run(["javac", "-nowarn", "-cp", conftest.BUILD / "runtimes/java/polyvisor-java-api.jar", "-d", folder,
                    worlds.HOSTILE / "java/Hostile.java"], check=True, capture_output=True)
    return "Hostile", {**{path.name: path.read_bytes() for path in folder.glob("*.class")}, "libraw.so": build_raw(folder)}


LANGUAGES = {"node": javascript, "java": java}


@pytest.fixture(scope="module", params=LANGUAGES)
def language(world, request, tmp_path_factory):
    name = f"hostile-{request.param}"
    handler, files = LANGUAGES[request.param](tmp_path_factory.mktemp(name))
    files["raw_rows.txt"] = (worlds.HOSTILE / "raw_rows.txt").read_bytes()
    world.create_hostile(name, files, handler, request.param, Timeout=60)
    yield name
    world.remove(name)


@pytest.mark.parametrize("origin", ["template", "isolate"])
def test_from_other_languages(world, language, origin):
    got = world.invoke(language, {"at_import": True} if origin == "template" else {"try": True}, 60).json()
    assert "errorMessage" not in got, got
    expected = {name: ["fails"] if name.startswith("command ") else ROWS[name].expected(origin) for name in got}
    assert {name: outcome for name, outcome in got.items() if outcome not in expected[name]} == {}
    assert len(got) > 25
    world.check()


@pytest.mark.parametrize("language", ["java"], indirect=True)
def test_a_crash_by_raw_memory_ends_its_isolate_only(world, language):
    reply = world.invoke(language, {"crash": True})
    assert reply.json()["errorType"] == "Runtime.ExitError"
    world.check()
    assert world.invoke(language, {"at_import": True}).status_code == 200


# What a hostile template can do to isolates of its own function, and cannot do to anybody else.
BAD_TEMPLATES = {
    # name: what the isolate's view differs in from that of a good one, or a word of the error
    "hides_settings": {},
    "covers_tmp": {},
    "covers_its_code": {},
    "leaves_descriptors": {"descriptors": ["/dev/null", "/memfd:left (deleted)", "/usr", "pipe", "pipe", "socket"]},
    # Accepted: an isolate is a clone of it, so it is as confined as the template, if the template wants it so.
    "unconfines_its_isolates": {"capabilities": "0000000000240000"},
    "covers_proc": "/proc is not mounted",
    "closes_landlock": "cannot be confined by Landlock",
}


@pytest.mark.parametrize("name", BAD_TEMPLATES)
def test_a_template_that_prepares_the_ground(world, name):
    world.create_hostile(name, {"row.txt": name}, "bad_templates.handler")
    reply = world.invoke(name, "look")
    world.check()
    world.remove(name)
    expected = BAD_TEMPLATES[name]
    if isinstance(expected, str):
        assert expected in reply.text
        return
    seen = reply.json()
    assert "descriptors" in seen, seen
    seen["descriptors"] = [link.split(":[")[0] for link in seen["descriptors"]]
    assert seen == {"pid": 1, "capabilities": "0000000000000000", "filter": "2", "uid": ["1000"] * 4, "processes": ["1"],
                    "tmp": [], "canary": "ENOENT", "descriptors": ["/dev/null", "pipe", "pipe", "socket"], **expected}


def test_a_template_can_read_its_isolates(world):
    """Accepted: it is the same tenant's code, and it was there before the first request."""
    world.create_hostile("watched", {"row.txt": "leaves_a_watcher"}, "bad_templates.handler")
    assert world.invoke("watched", "secret").json() == 18
    worlds.wait_until(lambda: "the watcher has read" in world.log("watched"), "the watcher")
    assert "the watcher has read an isolate's memory" in world.log("watched")
    world.remove("watched")
    world.check()


def test_processes_of_an_isolate_do_not_run_out(world):
    """Numbers of processes are limited; the numbers of those that are gone are there again."""
    world.create_hostile("forks", {"forks.py": b"""
import os, subprocess
def handler(event, context):
    for _ in range(1200):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    children = [subprocess.Popen(["sleep", "10"]) for _ in range(20)]
    for child in children:
        child.kill()
        child.wait()
    return len(children)
"""}, "forks.handler")
    assert world.invoke("forks", 1).json() == 20
    world.remove("forks")


# The same attacks on supervisors that are started in other ways, all in one invocation.

def wrapped(tmp_path, line):
    """A program that starts polyvisor in its own way."""
    program = tmp_path / "polyvisor"
    program.write_text(f'#!/bin/sh\n{line.format(polyvisor=conftest.POLYVISOR)}\n')
    program.chmod(0o755)
    return program


@pytest.fixture
def other_world():
    made = []

    def make(state, *options, program=None):
        daemon = conftest.Daemon(state, "--warm", "python", *options)
        if program:
            daemon.program = program
        made.append(worlds.World(daemon.start()))
        return made[-1]

    yield make
    for each in made:
        each.close()
        each.daemon.kill()


def attack_all(world, origins, exceptions=None):
    exceptions = exceptions or {}
    for origin in origins:
        names = rows(origin)
        at_import = origin == "template"
        world.create_hostile(origin, {"at_import.txt": " ".join(names)} if at_import else {}, Timeout=60)
        got = world.invoke(origin, {"at_import": True} if at_import else {"try": names}, 60).json()
        assert "errorMessage" not in got, got
        wrong = {name: got.get(name) for name in names
                 if got.get(name) not in ROWS[name].expected(origin) + exceptions.get(name, [])}
        assert wrong == {}, origin
        world.check()


def test_isolates_by_exec(other_world, tmp_path):
    attack_all(other_world(tmp_path / "state", "--launch", "exec"), ["isolate"])


def test_groups_of_whoever_starts_it_are_given_up(other_world, tmp_path):
    world = other_world(tmp_path / "state", program=wrapped(
        tmp_path, 'exec setpriv --groups 0,4,24,27 -- {polyvisor} "$@"'))
    world.create_hostile("hostile", {"at_import.txt": "identity"})
    assert world.invoke("hostile", {"at_import": True}).json() == {"identity": "1000:1000 and no group"}
    assert world.invoke("hostile", {"try": ["identity"]}).json() == {"identity": "1000:1000 and no group"}


# The function's init is the same user there: signals are sent, and the kernel keeps PID 1 from them; its limits and
# the size of the function's own pid namespace can be changed, which harms the function only.
ROOTLESS = dict.fromkeys(("kill_init", "stop_init", "limits_of_init", "write_pid_max"), ["succeeds"])


def test_rootless(other_world, tmp_path_factory):
    folder = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        folder.chmod(0o755)
        state = folder / "state"
        state.mkdir()
        os.chown(state, 65534, 65534)
        program = wrapped(folder, 'exec setpriv --reuid 65534 --regid 65534 --clear-groups -- {polyvisor} "$@"')
        attack_all(other_world(state, program=program), ["isolate", "template"], ROOTLESS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_everything_dies_with_the_supervisor(other_world, tmp_path):
    """Which is not PID 1 here, so that the kernel does not do it; the template has given up its signal and left
    daemons, an isolate as well."""
    world = other_world(tmp_path / "state", program=wrapped(tmp_path, '{polyvisor} "$@" & wait; sleep 60'))
    shell = world.daemon.pid
    children = pathlib.Path(f"/proc/{shell}/task/{shell}/children")
    supervisor = os.pidfd_open(int(children.read_text().split()[0]))
    world.create_hostile("daemons", {"row.txt": "leaves_daemons"}, "template_messages.handler")
    assert world.invoke("daemons", 1).json() == "served"
    world.create_hostile("hostile", {"at_import.txt": "forget_parent"})
    assert world.invoke("hostile", {"try": ["forget_parent"]}).json() == {"forget_parent": "succeeds"}
    assert len(world.processes()) > 20
    signal.pidfd_send_signal(supervisor, signal.SIGKILL)
    os.close(supervisor)
    worlds.wait_until(lambda: {fields["Name"] for fields in world.processes().values()} <= {"sleep"}, "all to be gone", 5)


def memory_charged(pid):
    """To its control group, in bytes; None where there is none."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for top, name in (("/sys/fs/cgroup/memory", "memory.usage_in_bytes"), ("/sys/fs/cgroup", "memory.current")):
            usage = pathlib.Path(top + path) / name
            if ("memory" in controllers) == (top == "/sys/fs/cgroup/memory") and usage.exists():
                return int(usage.read_text())
    return None


@pytest.mark.parametrize("kind", ["ramfs", "tmpfs"])
def test_a_templates_own_file_systems_are_its_functions_memory(world, kind):
    """A template may mount these; what is in them is charged to its function like all of its memory."""
    world.create_hostile("fills", {"row.txt": f"fills_a_{kind}"}, "bad_templates.handler")
    assert "pid" in world.invoke("fills", "look").json()
    template = next(pid for pid, fields in world.processes().items()
                    if pathlib.Path(f"/proc/{pid}/root/run/filled").exists() and len(fields["NSpid"].split()) == 3)
    charged = memory_charged(template)
    world.remove("fills")
    if charged is None:
        pytest.skip("this machine has no control groups that count memory")
    assert charged > 100 << 20
    world.check()


def test_control_groups_of_others(other_world, tmp_path):
    """A template is given the group of each isolate that it makes; from there it reaches no other."""
    world = other_world(tmp_path / "state", "--cgroups", "v2")
    world.create_hostile("climbs", {"row.txt": "climbs_out_of_its_group"}, "template_messages.handler")
    assert "climbed" in world.invoke("climbs", 1).text
    seen = json.loads(re.search(r"climbed (\{.*\})", world.log("climbs")).group(1))
    if not seen.pop("group"):
        pytest.skip("this machine has no control groups of version 2")
    for path, outcome in seen.items():
        assert outcome == "[]" if path.endswith("..") else outcome in ("EROFS", "EACCES", "ENOENT"), (path, outcome)
    world.check()


def test_the_table_in_security_md():
    """Written by tests/security/table.py: what is published is what is asserted here."""
    assert table.written(table.SECURITY.read_text()) == table.render(), "run tests/security/table.py"
