"""Bench peers: what others need for the same work, one after the other: hello, in each as its own
documentation advises (peer_table.py).

A launch is from the decision to the instance accepting a connection; the first answer is to a request
sent to nothing. Requests come from wrk over kept connections; memory is proportional (PSS), of idle
instances that have each answered once.
"""

import collections
import http.client
import subprocess
import time

import load
import memory
import peer_table
import program
import supervisor
import table as tables
from peer_process import Failed
from progress import Budget, progress
from samples import summary

INSTANCES = (1, 10, 100)
CONNECTIONS = (1, 32)
LAUNCHES = 30
MEMORY_SHARE = 0.7  # of what is available, at most
LEAST_SECONDS = 1.2  # of one peer
SPAWNS = 20

# What one peer gets: counts of instances and seconds for them, launches at most and seconds for
# them, numbers of connections and seconds with each, whether what compiles is given time first, and
# whether polyvisor is also measured with a function for each isolate.
Effort = collections.namedtuple("Effort", "instances idle_s launches launch_s connections request_s warm apart")


def effort(options, share):
    """By the seconds that are there for this peer."""
    if options.quick:
        return Effort(INSTANCES[:2], share * 0.3, options.count or 3, 0.2, CONNECTIONS[-1:], 1, False, False)
    if share == float("inf"):
        return Effort(INSTANCES, 60, options.count or LAUNCHES, 20, CONNECTIONS, 3, True, True)
    return Effort(INSTANCES, share * 0.4, options.count or LAUNCHES, share * 0.15, CONNECTIONS, 1, False, True)


def arguments(parser):
    parser.add_argument("--prepare", action="store_true", help="only install the peers of other registries, and end")
    parser.add_argument("--only", metavar="NAME,...", help="measure these alone, such as Deno,crun")
    parser.add_argument("--seconds", type=float, help="measure less of each, in about so many seconds for all")
    parser.add_argument("--count", type=int, help=f"launches of each ({LAUNCHES})")


def floor():
    """What a process that does nothing takes from its start to its end, in µs."""
    took = []
    for _ in range(SPAWNS):
        start = time.perf_counter()
        subprocess.run(["/bin/true"], stdin=subprocess.DEVNULL, check=True, preexec_fn=supervisor.die_with_parent)
        took.append((time.perf_counter() - start) * 1e6)
    return summary(took)


def measure_launches(peer, count, seconds):
    deadline = time.monotonic() + seconds
    ready, first = [], []
    while len(ready) < count and (time.monotonic() < deadline or not ready):
        a, b = peer.launch()
        ready.append(a)
        first.append(b)
    return {"launch_us": summary(ready), "first_answer_us": summary(first)}


def measure_requests(peer, given):
    url, end = peer.serve()
    try:
        if given.warm:
            load.wrk(url, given.connections[-1], 1)
        return {str(n): load.wrk(url, n, given.request_s) for n in given.connections}
    finally:
        end()


def _too_large(found, count):
    """Why so many would not fit, judged by fewer; None where they do."""
    if not found:
        return None
    last = max(found)
    need, there = found[last] * count // last, memory.available_kb()
    if need > there * MEMORY_SHARE:
        return f"{count} instances would need {need // 1024} MB of the {there // 1024} MB available"
    return None


def measure_idle(measure, counts, seconds):
    """Memory by count of instances as far as time and memory allow, and why not further."""
    deadline, found, why = time.monotonic() + seconds, {}, None
    for count in counts:
        why = _too_large(found, count)
        pss = measure(count, deadline) if not why else None
        if pss is None:
            why = why or f"{count} instances were not there within {seconds:.1f} s"
            break
        found[count] = pss
    return {"pss_kb": {str(count): kb for count, kb in found.items()},
            "each_kb": {str(count): round(kb / count) for count, kb in found.items()}, "ended": why}


def measure_peer(peer, options, seconds):
    """One peer; where something of it fails, the reason, and what was measured until then."""
    result = {"language": peer.language, "instance": peer.how, "set_up": peer.advice, "version": None}
    why = peer.missing() or ("the time for all peers was over" if seconds < LEAST_SECONDS else None)
    if why:
        return {**result, "failed": why}
    given = effort(options, seconds)
    try:
        with peer:
            result["version"] = peer.version()
            result["idle"] = measure_idle(peer.idle, given.instances, given.idle_s)
            peer.end_idle()
            result.update(measure_launches(peer, given.launches, given.launch_s))
            result["requests"] = measure_requests(peer, given)
            if hasattr(peer, "idle_apart") and given.apart:
                result["idle_apart"] = measure_idle(peer.idle_apart, given.instances, given.idle_s)
    except (Failed, supervisor.Failed, program.Missing, OSError, ValueError, http.client.HTTPException,
            subprocess.SubprocessError) as error:
        result["failed"] = f"{type(error).__name__}: {error}"
    return result


def _chosen(options):
    rows = peer_table.peers()
    if not options.only:
        return rows
    names = {name.strip().lower() for name in options.only.split(",")}
    known = {peer.name.lower() for peer in rows}
    if names - known:
        raise program.Missing(f"there is no peer {', '.join(sorted(names - known))}: "
                              f"there are {', '.join(sorted(known))}")
    return [peer for peer in rows if peer.name.lower() in names]


def run(options, report):
    if options.prepare:
        peer_table.prepare()
        return {"prepared": peer_table.CACHE, "packages": peer_table.PACKAGES}
    rows, results = _chosen(options), {}
    budget = Budget(options.seconds) if options.seconds and not options.quick else options.budget
    floor_us = floor()
    for i, peer in enumerate(rows):
        progress(f"{i + 1}/{len(rows)} {peer.name}")
        results[peer.name] = measure_peer(peer, options, budget.left() / (len(rows) - i))
    result = {"floor_spawn_us": floor_us, "connections": list(CONNECTIONS), "instances": list(INSTANCES), "peers": results}
    _write(result, report)
    return result


def _write(result, report):
    report.csv("peers", HEADINGS, [_row(name, peer) for name, peer in result["peers"].items()])
    measured = {name: peer for name, peer in result["peers"].items() if "launch_us" in peer}
    report.plot("peers-launch", "Launch of an instance that serves hello (median)", "", "milliseconds",
                [("ready", [(name, peer["launch_us"]["p50"] / 1000) for name, peer in measured.items()]),
                 ("first answer, from nothing", [(name, peer["first_answer_us"]["p50"] / 1000)
                                                 for name, peer in measured.items()])], kind="bars", logy=True)
    report.plot("peers-memory", "Memory of an idle instance", "instances", "MB of PSS for each",
                [(name, [(int(n), kb / 1024) for n, kb in peer["idle"]["each_kb"].items()])
                 for name, peer in measured.items() if "idle" in peer], logx=True, logy=True)


HEADINGS = ["peer", "language", ">n", ">launch p50", ">p99", ">first answer p50", ">p99", ">req/s c1", ">c32", ">errors",
            ">MB each of 1", ">10", ">100", "version"]


def _row(name, peer):
    launch, first, requests = peer.get("launch_us", {}), peer.get("first_answer_us", {}), peer.get("requests", {})
    each = peer.get("idle", {}).get("each_kb", {})
    mb = [tables.number(each[str(n)] / 1024, 1) if str(n) in each else "–" for n in INSTANCES]
    return [name, peer["language"], launch.get("count", "–"), *(tables.us(part.get(p)) for part in (launch, first)
                                                                for p in ("p50", "p99")),
            *(tables.number(requests.get(str(n), {}).get("requests_per_s")) for n in CONNECTIONS),
            sum(each["errors"] for each in requests.values()) if requests else "–", *mb, peer["version"] or "–"]


def _notes(result):
    floor_us = result["floor_spawn_us"]
    yield (f"floor: starting a process that does nothing takes {tables.us(floor_us['p50'])} p50, "
           f"{tables.us(floor_us['p99'])} p99 of {floor_us['count']}")
    for name, peer in result["peers"].items():
        yield f"{name}: {peer['instance']}; {peer['set_up']}"
        apart = peer.get("idle_apart", {}).get("each_kb", {})
        if apart:
            yield "  as one isolate of each of n functions: " + ", ".join(
                f"{kb / 1024:,.1f} MB each of {n}" for n, kb in apart.items())
        for part in ("idle", "idle_apart"):
            if peer.get(part, {}).get("ended"):
                yield f"  memory was measured no further: {peer[part]['ended']}"
        if "failed" in peer:
            yield f"  NOT MEASURED (further): {peer['failed']}"


def table(result):
    if "prepared" in result:
        return f"installed in {result['prepared']}: " + ", ".join(f"{n} {v}" for n, v in result["packages"].items())
    rows = [_row(name, peer) for name, peer in result["peers"].items()]
    return "\n".join([tables.table(HEADINGS, rows), "", *_notes(result)])
