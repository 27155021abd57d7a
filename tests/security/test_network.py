"""Which network a function has: none, a way out only, or the machine's. Each test is on a machine of its own
(internet.py), and whatever must not be reached is reached from elsewhere first, so that refusal is ours.
"""

import concurrent.futures
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import statistics
import subprocess
import time

import pytest

import conftest
from internet import GATEWAY, MACHINE, MACHINE_SIX, METADATA, PORT, PRIVATE, RESOLVERS, SECOND, SERVER, SERVER_SIX, World
from languages import create

HUB, PASTA = "100.64.0.2", "100.64.0.3"
SPARES = 4     # networks that are made ahead

PYTHON = b'''
import json, os, socket, struct, threading, time

SERVING = []

def said(s):
    s.settimeout(3)
    try:
        return s.recv(64).decode()
    finally:
        s.close()

def tcp(host, port):
    return said(socket.create_connection((host, port), timeout=3))

def udp(host, port):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((host, port))
    s.send(b"hello")
    return said(s)

def through_device(host, port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    s.settimeout(0.5)
    s.connect((host, port))
    return said(s)

def name(host, port=0):
    return socket.gethostbyname(host)

def serve(name, port):
    server = socket.create_server(("0.0.0.0", port))
    SERVING.append(server)
    def accept():
        while True:
            connection, _ = server.accept()
            connection.sendall(name.encode())
            connection.close()
    threading.Thread(target=accept, daemon=True).start()
    return "serving"

def own(host="198.51.100.10", port=1):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((host, port))
    return s.getsockname()[0]

def flood(host, count):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for port in range(10000, 10000 + count):
        try:
            s.sendto(b"x", (host, port))
        except OSError:
            pass
    return "sent"

def spoof(source, host, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND
    s.bind((source, 0))
    s.sendto(b"hello", (host, port))
    return said(s)

def listen(host, port, seconds):
    # Whatever comes within some seconds to a port that something was sent from.
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", 40123))
    s.sendto(b"hello", (host, port))
    heard, until = [], time.monotonic() + seconds
    while until > time.monotonic():
        s.settimeout(max(until - time.monotonic(), 0.001))
        try:
            heard.append(s.recv(64).decode())
        except TimeoutError:
            pass
    return heard

def packets(family, kind):
    socket.socket(family, kind).close()
    return "open"

def reconfigure(what):
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    if what == "link":    # eth0 down
        body = struct.pack("=BxHiII", 0, 0, 100, 0, 1)
        message = struct.pack("=IHHII", 16 + len(body), 16, 5, 1, 0) + body
    else:                 # 1.1.1.1/32 on eth0
        body = struct.pack("=BBBBI", 2, 32, 0, 0, 100) + struct.pack("=HH4s", 8, 2, bytes([1, 1, 1, 1]))
        message = struct.pack("=IHHII", 16 + len(body), 20, 0x605, 1, 0) + body
    s.send(message)
    error = struct.unpack("=i", s.recv(4096)[16:20])[0]
    if error:
        raise OSError(-error, os.strerror(-error))
    return "done"

def interfaces():
    return sorted(name for _, name in socket.if_nameindex())

def handler(event, context):
    results = []
    for do, *arguments in event:
        try:
            results.append(globals()[do](*arguments))
        except OSError as error:
            results.append("no: " + str(error))
    return results
'''

NODE = b'''
const net = require("net"), dns = require("dns");
const reach = (host, port) => new Promise(resolve => {
  const socket = net.connect(port, host);
  socket.setTimeout(3000, () => { socket.destroy(); resolve("no: timeout"); });
  socket.on("data", data => { socket.destroy(); resolve(data.toString()); });
  socket.on("error", error => resolve("no: " + error.code));
});
exports.handler = async event => ({
  reached: await Promise.all(event.hosts.map(host => reach(host, event.port))),
  name: (await dns.promises.lookup("example.test")).address,
});
'''

JAVA = '''
import java.net.*;
import java.util.*;
public class Reach {
  public Object handle(Map<String, Object> event) throws Exception {
    List<String> reached = new ArrayList<>();
    for (Object host : (List<?>) event.get("hosts"))
      try (Socket socket = new Socket()) {
        socket.connect(new InetSocketAddress((String) host, ((Number) event.get("port")).intValue()), 3000);
        socket.setSoTimeout(3000);
        reached.add(new String(socket.getInputStream().readAllBytes()));
      } catch (java.io.IOException e) { reached.add("no: " + e.getMessage()); }
    return Map.of("reached", reached, "name", InetAddress.getByName("example.test").getHostAddress());
  }
}
'''

# Everything that a function must not reach, and that the machine reaches, as TCP and as UDP.
MACHINES = ["127.0.0.1", "127.0.0.53", "0.0.0.0", MACHINE, SECOND]
FORBIDDEN = [*MACHINES[3:], METADATA, PRIVATE]

pytestmark = pytest.mark.skipif(not shutil.which("pasta") or not shutil.which("nft"),
                                reason="the packages passt and nftables are not installed")


@pytest.fixture(scope="module")
def world():
    world = World()
    yield world
    world.end()


@pytest.fixture
def own_world():
    made = []

    def make(**how):
        made.append(World(**how))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture(scope="module")
def shared(world):
    daemon = world.daemon("--warm", "python").start()
    daemon.await_log("network=egress has names by " + RESOLVERS[0])
    yield daemon
    daemon.kill()


@pytest.fixture
def daemon(shared):
    yield shared
    assert shared.process.poll() is None, shared.log()[-4000:]
    shared.remove_all()


@pytest.fixture
def started():
    made = []

    def start(daemon, wait="network=egress has"):
        made.append(daemon.start())
        if wait:
            daemon.await_log(wait)
        return daemon

    yield start
    for each in made:
        each.kill()


def deploy(daemon, name="reach", network=None, **members):
    tags = {"polyvisor:network": network} if network else {}
    tags.update(members.pop("tags", {}))
    reply = create(daemon, name, "python", "app.handler", {"app.py": PYTHON}, Tags=tags, **members)
    assert reply.status_code == 201, reply.text
    return name


def call(daemon, name, *what):
    reply = daemon.invoke(name, list(what))
    assert reply.status_code == 200 and "X-Amz-Function-Error" not in reply.headers, reply.text
    return reply.json()


def refused(results):
    return all(result.startswith("no: ") for result in results)


def everywhere(hosts, port=PORT):
    return [(do, host, port) for host in hosts for do in ("tcp", "udp")]


def test_the_world_is_as_it_must_be_for_these_tests(world):
    """What functions must not reach is there: the machine itself reaches it."""
    script = PYTHON.decode() + "\nimport sys\nprint(json.dumps(handler(json.loads(sys.argv[1]), None)))"
    what = everywhere([*MACHINES, METADATA, PRIVATE, SERVER, MACHINE_SIX, SERVER_SIX])
    done = world.machine.run(subprocess.run, ["/usr/bin/python3", "-c", script, json.dumps(what)], capture_output=True,
                             text=True, check=True)
    results = json.loads(done.stdout)
    assert results == 2 * len(MACHINES) * ["machine"] + 6 * ["internet"] + 2 * ["machine"] + 2 * ["internet"]


@pytest.mark.parametrize("launch", ["clone", "exec"])
def test_egress_reaches_the_internet_and_nothing_of_the_machine(daemon, launch):
    deploy(daemon, tags={"polyvisor:launch": launch})
    assert call(daemon, "reach", *everywhere([SERVER, GATEWAY])) == 4 * ["internet"]
    assert refused(call(daemon, "reach", *everywhere(MACHINES + FORBIDDEN)))
    api = [(do, host, daemon.port) for host in MACHINES for do in ("tcp", "through_device")]
    assert refused(call(daemon, "reach", *api))
    assert refused(call(daemon, "reach", *[("through_device", host, PORT) for host in MACHINES + FORBIDDEN]))


@pytest.mark.parametrize("launch", ["clone", "exec"])
def test_none_reaches_nothing(daemon, launch):
    deploy(daemon, network="none", tags={"polyvisor:launch": launch})
    everything = [SERVER, GATEWAY, MACHINE_SIX, SERVER_SIX, HUB, *MACHINES, *FORBIDDEN]
    assert refused(call(daemon, "reach", *everywhere(everything)))
    assert refused(call(daemon, "reach", ("tcp", "127.0.0.1", daemon.port), ("name", "example.test")))
    assert call(daemon, "reach", ("interfaces",)) == [["lo"]]


@pytest.mark.parametrize("network", ["none", "egress"])
def test_the_loopback_is_the_functions_own(daemon, network):
    deploy(daemon, network=network)
    assert call(daemon, "reach", ("serve", "mine", PORT), ("tcp", "127.0.0.1", PORT), ("tcp", "localhost", PORT)) == \
        ["serving", "mine", "mine"]


def test_refusal_is_heard_at_once(daemon):
    """A timeout would be counted as the function's time."""
    deploy(daemon)
    before = time.monotonic()
    call(daemon, "reach", *[("tcp", host, PORT) for host in FORBIDDEN])
    assert time.monotonic() - before < 2


def test_nothing_by_ipv6(daemon):
    deploy(daemon)
    assert refused(call(daemon, "reach", *everywhere([MACHINE_SIX, SERVER_SIX, "fe80::1%eth0", "::ffff:" + MACHINE])))


def test_names(daemon):
    deploy(daemon)
    assert call(daemon, "reach", ("name", "example.test")) == [SERVER]
    # Cut off over UDP, so that it is asked for over TCP again.
    assert call(daemon, "reach", ("name", "big.test")) == [SERVER]
    # A resolver is a resolver only.
    assert call(daemon, "reach", ("tcp", RESOLVERS[0], PORT)) == ["internet"]
    assert refused(call(daemon, "reach", ("tcp", "100.64.0.53", PORT), ("udp", "100.64.0.53", PORT)))


def test_functions_do_not_reach_each_other_or_the_hub(daemon):
    deploy(daemon, "one")
    deploy(daemon, "two")
    assert call(daemon, "one", ("serve", "one", PORT)) == ["serving"]
    [one], [two] = call(daemon, "one", ("own",)), call(daemon, "two", ("own",))
    assert one != two
    assert call(daemon, "one", ("tcp", one, PORT)) == ["one"]
    assert refused(call(daemon, "two", *everywhere([one, HUB, PASTA, "100.64.0.1", "100.64.0.4"]), ("through_device", one, PORT)))
    assert refused(call(daemon, "two", ("spoof", one, SERVER, PORT)))


def test_nobody_reaches_a_function(daemon, world):
    deploy(daemon, "one")
    assert call(daemon, "one", ("serve", "one", 7777)) == ["serving"]
    [one] = call(daemon, "one", ("own",))
    for host in (one, "127.0.0.1", MACHINE):
        done = world.machine.run(subprocess.run, ["curl", "-sS", "-m", "2", f"http://{host}:7777/"], capture_output=True)
        assert done.returncode in (7, 28), done
    # Nor does pasta listen on the machine, and what it sends from are ports that nobody counts on.
    sockets = world.machine.run(subprocess.run, ["ss", "-Hnatup"], capture_output=True, text=True).stdout
    own = [line.split() for line in sockets.splitlines() if "passt" in line or "pasta" in line]
    assert own and all(32768 <= int(row[4].rpartition(":")[2]) <= 60999 for row in own)
    assert [row for row in own if row[0] == "tcp" and row[1] == "LISTEN"] == []


def test_datagrams_come_from_whom_they_were_asked_of(daemon, world):
    """Pasta's socket takes them from everybody."""
    deploy(daemon)
    with concurrent.futures.ThreadPoolExecutor(1) as aside:
        heard = aside.submit(call, daemon, "reach", ("listen", SERVER, PORT, 3))
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            sockets = world.machine.run(subprocess.run, ["ss", "-Hnaup"], capture_output=True, text=True).stdout
            ports = [int(line.split()[3].rpartition(":")[2]) for line in sockets.splitlines() if "passt" in line or "pasta" in line]
            for namespace, source in ((world.internet, RESOLVERS[1]), (world.machine, MACHINE)):
                namespace.run(send_datagrams, source, MACHINE, ports)
        assert heard.result() == [["internet"]]
    assert ports


def send_datagrams(source, to, ports):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((source, 0))
        for port in ports:
            s.sendto(b"unasked", (to, port))


def test_a_function_cannot_change_its_network(daemon):
    deploy(daemon)
    assert refused(call(daemon, "reach", ("reconfigure", "link"), ("reconfigure", "address"), ("packets", 17, 3), ("packets", 2, 3)))
    assert call(daemon, "reach", ("tcp", SERVER, PORT)) == ["internet"]


@pytest.mark.parametrize("network", ["egress", "none"])
def test_in_javascript(daemon, network):
    tags = {"polyvisor:network": network}
    assert create(daemon, "js", "node", "app.handler", {"app.js": NODE}, Tags=tags).status_code == 201
    reply = daemon.invoke("js", {"hosts": [SERVER, *MACHINES, *FORBIDDEN], "port": PORT})
    if network == "none":
        assert "EAI_AGAIN" in reply.text
        return
    assert reply.json()["name"] == SERVER and reply.json()["reached"][0] == "internet"
    assert refused(reply.json()["reached"][1:])


def test_in_java(daemon, tmp_path):
    (tmp_path / "Reach.java").write_text(JAVA)
    subprocess.run(["javac", "-nowarn", "-d", tmp_path, tmp_path / "Reach.java"], check=True, capture_output=True)
    files = {"Reach.class": (tmp_path / "Reach.class").read_bytes()}
    assert create(daemon, "java", "java", "Reach::handle", files).status_code == 201
    reply = daemon.invoke("java", {"hosts": [SERVER, *MACHINES, *FORBIDDEN], "port": PORT})
    assert reply.json()["name"] == SERVER and reply.json()["reached"][0] == "internet", reply.text
    assert refused(reply.json()["reached"][1:])


def test_an_address_that_the_machine_gets_later(daemon, world):
    address = "198.51.100.200"
    deploy(daemon)
    world.machine.ip(f"addr add {address}/32 dev lo")
    try:
        deadline = time.monotonic() + 5
        while not refused(call(daemon, "reach", ("tcp", address, PORT))):
            assert time.monotonic() < deadline
        assert refused(call(daemon, "reach", *everywhere([address])))
    finally:
        world.machine.ip(f"addr del {address}/32 dev lo")


def test_a_resolver_that_the_machine_gets_later(daemon, world):
    deploy(daemon)
    assert call(daemon, "reach", ("name", "by.test")) == [RESOLVERS[0]]
    world.set_resolvers("127.0.0.99", RESOLVERS[1])
    try:
        daemon.await_log("names by " + RESOLVERS[1])
        assert call(daemon, "reach", ("name", "by.test")) == [RESOLVERS[1]]
    finally:
        world.set_resolvers(RESOLVERS[0])
        world.machine.ip("addr add 198.51.100.201/32 dev lo")  # something to notice at once
        wait_for(lambda: call(daemon, "reach", ("name", "by.test")) == [RESOLVERS[0]])
        world.machine.ip("addr del 198.51.100.201/32 dev lo")


def test_many_connections(daemon):
    """Two thousand, one after the other: those that ended do not count for long."""
    deploy(daemon, Timeout=60)
    assert call(daemon, "reach", *[("tcp", SERVER, PORT)] * 2000) == 2000 * ["internet"]


def test_a_function_cannot_use_up_the_connections_of_others(daemon):
    deploy(daemon, "greedy")
    deploy(daemon, "modest")
    assert call(daemon, "greedy", ("flood", SERVER, 5000)) == ["sent"]
    assert refused(call(daemon, "greedy", ("tcp", SERVER, PORT)))
    assert call(daemon, "modest", ("tcp", SERVER, PORT), ("udp", SERVER, PORT), ("name", "example.test")) == \
        ["internet", "internet", SERVER]


def test_nothing_is_left_after_two_hundred_deployments(daemon):
    supervisor = pathlib.Path(f"/proc/{daemon.pid}/fd")
    deploy(daemon, "warm")
    call(daemon, "warm", ("tcp", SERVER, PORT))
    daemon.request("DELETE", conftest.FUNCTIONS + "/warm")
    wait_for(lambda: len(daemon.pairs()) == SPARES)
    before = len(list(supervisor.iterdir())), namespaces(daemon)
    for i in range(200):
        name = deploy(daemon, f"f{i}")
        assert call(daemon, name, ("tcp", SERVER, PORT)) == ["internet"]
        assert daemon.request("DELETE", f"{conftest.FUNCTIONS}/{name}").status_code == 204
    wait_for(lambda: len(daemon.pairs()) == SPARES)
    wait_for(lambda: (len(list(supervisor.iterdir())), namespaces(daemon)) == before)


def wait_for(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def namespaces(daemon):
    """Network namespaces that processes below the daemon are in."""
    found = set()
    for pid in daemon.processes(""):
        try:
            found.add(os.readlink(f"/proc/{pid}/ns/net"))
        except OSError:
            pass
    return len(found)


def test_host_must_be_asked_for_twice(daemon):
    reply = create(daemon, "host", "python", "app.handler", {"app.py": PYTHON}, Tags={"polyvisor:network": "host"})
    assert reply.status_code == 400 and "--allow-host-network" in reply.json()["message"]
    deploy(daemon)
    arn = "arn:aws:lambda:us-east-1:000000000000:function:reach"
    reply = daemon.request("POST", f"/2017-03-31/tags/{arn}", json={"Tags": {"polyvisor:network": "host"}})
    assert reply.status_code == 400 and "--allow-host-network" in reply.json()["message"]
    reply = create(daemon, "odd", "python", "app.handler", {"app.py": PYTHON}, Tags={"polyvisor:network": "all"})
    assert reply.status_code == 400 and "'none' or 'egress' or 'host'" in reply.json()["message"]


@pytest.mark.parametrize("launch", ["clone", "exec"])
def test_host_is_the_machines_network(world, started, launch):
    daemon = started(world.daemon("--allow-host-network", "--warm", "python", "--launch", launch))
    deploy(daemon, "host", network="host")
    deploy(daemon, "other")
    assert call(daemon, "host", ("tcp", "127.0.0.1", PORT), ("tcp", SERVER, PORT), ("name", "by.test")) == \
        ["machine", "internet", RESOLVERS[0]]
    assert refused(call(daemon, "other", ("tcp", MACHINE, PORT)))
    assert refused(call(daemon, "host", ("reconfigure", "link")))
    # Started again without the permission, it is there, and says why it does not run.
    daemon.stop()
    daemon.options = ("--warm", "python", "--launch", launch)
    started(daemon)
    assert {f["FunctionName"] for f in daemon.request("GET", conftest.FUNCTIONS + "/").json()["Functions"]} == {"host", "other"}
    assert "--allow-host-network" in daemon.invoke("host", []).text
    assert call(daemon, "other", ("tcp", SERVER, PORT)) == ["internet"]


def test_private_networks_that_are_allowed(world, started):
    daemon = started(world.daemon("--egress-allow", "10.9.0.0/24,169.254.0.0/16,127.0.0.0/8,203.0.113.0/24", "--warm", "python"))
    deploy(daemon)
    assert call(daemon, "reach", ("tcp", PRIVATE, PORT), ("tcp", SERVER, PORT)) == ["internet", "internet"]
    # Never these, whatever is allowed.
    assert refused(call(daemon, "reach", *everywhere([MACHINE, METADATA, "127.0.0.1", SECOND])))


@pytest.mark.parametrize("networks", ["10.0.0.0/33", "example.test", "10.1.0.0/16,", "::1/128", "1.2.3.4/8 ; flush ruleset"])
def test_networks_that_are_none(world, networks):
    daemon = world.daemon("--egress-allow", networks)
    with pytest.raises(pytest.fail.Exception, match="is not an IPv4 network such as"):
        daemon.start()


def test_none_by_default(world, started):
    daemon = started(world.daemon("--network", "none", "--warm", "python"), wait="functions have no network by default")
    deploy(daemon)
    assert refused(call(daemon, "reach", ("tcp", SERVER, PORT)))
    assert daemon.processes("polyvisor-net") == []
    deploy(daemon, "out", network="egress")
    assert call(daemon, "out", ("tcp", SERVER, PORT)) == ["internet"]


@pytest.mark.parametrize("program, package", [("pasta", "passt"), ("nft", "nftables")])
def test_without_the_packages(world, started, program, package):
    path = os.path.realpath(shutil.which(program)) if program == "nft" else shutil.which(program)
    daemon = started(world.daemon("--warm", "python", hide=[path]), wait=f"{program} is not installed (package {package})")
    deploy(daemon)
    assert refused(call(daemon, "reach", *everywhere([SERVER, MACHINE, "127.0.0.1"])))
    assert "is not installed" in daemon.cli("logs", "reach").stdout


def test_a_machine_that_is_connected_later(own_world, started):
    world = own_world(routed=False)
    daemon = started(world.daemon("--warm", "python"), wait="there is no way out for them: pasta")
    deploy(daemon, "early")
    assert refused(call(daemon, "early", ("tcp", SERVER, PORT)))
    world.route()
    daemon.await_log("functions reach out by default")
    deploy(daemon, "later")
    assert call(daemon, "later", ("tcp", SERVER, PORT), ("name", "example.test")) == ["internet", SERVER]


def test_a_resolver_on_the_machines_loopback(own_world, started):
    world = own_world()
    world.machine.serve("resolve", "127.0.0.53", SERVER)
    world.set_resolvers("127.0.0.53")
    daemon = started(world.daemon("--warm", "python"))
    deploy(daemon)
    assert call(daemon, "reach", ("name", "by.test"), ("tcp", SERVER, PORT)) == ["127.0.0.53", "internet"]
    assert refused(call(daemon, "reach", *everywhere(["127.0.0.53", "100.64.0.4"]), ("tcp", "100.64.0.4", 53)))


def kill(pid):
    fd = os.pidfd_open(pid)
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    os.close(fd)


def test_pasta_is_started_again(world, started):
    daemon = started(world.daemon("--warm", "python"))
    deploy(daemon)
    assert call(daemon, "reach", ("tcp", SERVER, PORT)) == ["internet"]
    [pasta] = daemon.processes("pas")
    kill(pasta)
    daemon.await_log("no way out at the moment: pasta ended with status 0x9")
    wait_for(lambda: call(daemon, "reach", ("tcp", SERVER, PORT)) == ["internet"])
    assert daemon.processes("pas") != [pasta]


def test_pasta_is_there_only_when_a_function_sends(world, started):
    daemon = started(world.daemon("--warm", "python"))
    deploy(daemon)
    assert refused(call(daemon, "reach", ("tcp", "127.0.0.1", 1)))
    wait_for(lambda: daemon.processes("pas") == [])
    start = time.monotonic()
    assert call(daemon, "reach", ("tcp", SERVER, PORT)) == ["internet"]
    assert time.monotonic() - start < 0.9, "the first packet was lost: its sender waited a second"
    [pasta] = daemon.processes("pas")
    assert call(daemon, "reach", ("tcp", SERVER, PORT)) == ["internet"]
    assert daemon.processes("pas") == [pasta]


def test_the_helper_is_started_again(world, started):
    daemon = started(world.daemon("--warm", "python"))
    deploy(daemon)
    assert call(daemon, "reach", ("tcp", SERVER, PORT)) == ["internet"]
    # Its children of a moment are called as it is, but come after it.
    helper = min(daemon.processes("polyvisor-net"))
    kill(helper)
    daemon.await_log("the network helper ended with status 0x9; starting another")
    # What waits for the next one gets it, nothing of the first is left.
    wait_for(lambda: call(daemon, "reach", ("tcp", SERVER, PORT)) == ["internet"])
    wait_for(lambda: len(daemon.processes("polyvisor-hub")) == len(daemon.processes("pas")) == 1)
    wait_for(lambda: len(daemon.pairs()) == SPARES + 1)


def test_nothing_is_left_of_a_supervisor_that_was_killed(world, started):
    daemon = started(world.daemon("--warm", "python"))
    deploy(daemon)
    assert call(daemon, "reach", ("tcp", SERVER, PORT)) == ["internet"]
    # No child of a moment, which makes a network ahead, is to be among them.
    wait_for(lambda: len(daemon.processes("polyvisor-net")) == len(daemon.processes("pas")) == 1)
    wait_for(lambda: len(daemon.pairs()) == SPARES + 1)
    left = [*daemon.processes("polyvisor"), *daemon.processes("pas")]
    assert len(left) >= 5
    # The supervisor alone: what is in its pid namespace besides it must notice by itself.
    fds = [os.pidfd_open(pid) for pid in left]
    daemon.signal(signal.SIGKILL)
    for fd in fds:
        assert select.select([fd], [], [], 5)[0] == [fd]
        os.close(fd)
    daemon.process.wait(5)


def test_an_ordinary_users_functions(world, started):
    daemon = started(world.daemon("--warm", "python", "--allow-host-network", user=65534))
    deploy(daemon)
    assert call(daemon, "reach", ("tcp", SERVER, PORT), ("udp", SERVER, PORT), ("name", "example.test"), ("name", "big.test")) == \
        ["internet", "internet", SERVER, SERVER]
    assert refused(call(daemon, "reach", *everywhere(MACHINES + FORBIDDEN), ("tcp", MACHINE, daemon.port), ("reconfigure", "link")))
    deploy(daemon, "none", network="none")
    assert refused(call(daemon, "none", *everywhere([SERVER, *MACHINES])))
    deploy(daemon, "host", network="host")
    assert call(daemon, "host", ("tcp", "127.0.0.1", PORT), ("name", "by.test")) == ["machine", RESOLVERS[0]]


def test_a_launch_is_as_fast_with_a_network(daemon):
    """The network is made once for a function: its isolates find it there."""
    for network in ("none", "egress"):
        deploy(daemon, network, network=network, tags={"polyvisor:isolation": "request"})
    times = {"none": [], "egress": []}
    for _ in range(100):
        for network, of in times.items():
            reply = daemon.invoke(network, [])
            assert reply.json() == []
            of.append(reply.elapsed.total_seconds())
    assert statistics.median(times["egress"]) < 1.5 * statistics.median(times["none"])
