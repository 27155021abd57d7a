"""`bench replay TRACE`: a recorded trace of a cloud, replayed against polyvisor and the systems it is compared with.

What was recorded of a function becomes a function of ours in one of three languages, that takes as long (a part of
it spinning, the rest asleep) and keeps as much memory, both scaled. Time runs `--speed` times as fast, durations and
keep-alive with it, so that as many invocations are under way at once as were recorded. A start of a process is not
compressed: beside durations it weighs `speed` times what it weighed in the cloud. So the table has, beside latencies, how
many starts there were and by how much an invocation took longer than it asked for, which need no such allowance.
"""

import collections
import dataclasses
import json
import math
import os
import pathlib
import shutil
import subprocess
import tempfile

import memory
import progress
import program
import systems
import table as tables
import traces
from openloop import OpenLoop
from sampler import Sampler
from samples import percentile, ratio

FOLDER = pathlib.Path(__file__).resolve().parent / "functions/replay"
HANDLERS = {"python": "app.handler", "node": "index.handler", "java": "Replay"}
OWN_KEEP_ALIVE, TEMPLATE_KEEP_ALIVE = 60, 600  # seconds of the trace; the defaults of `polyvisor serve`
MIX = {"node": 0.48, "python": 0.24, "java": 0.28}
PAPER = {"memory": -83, "p99": -68}
AIMS = {"memory": -95, "p99": -95}
BASELINE = "process"
MEMORY_MB_UNKNOWN = 64
LONGEST_MS = 600_000
USUAL = {"minutes": 20, "speed": 10.0, "warm_up": 10, "systems": "polyvisor,process"}
QUICK = {"minutes": 3, "speed": 20.0, "warm_up": 1, "systems": "polyvisor,process"}
DRAIN_SECONDS = 20  # for what is under way at the end
QUICK_DRAIN_SECONDS = 3


@dataclasses.dataclass
class Function:
    """What systems.base wants of one, made from a recorded function."""
    name: str
    runtime: str
    path: str
    handler: str
    kb: int
    memory_mb: int
    timeout_s: int = 900
    needs_server: bool = False
    event: bytes = b""


def numbers(text):
    return [int(word) for word in str(text).split(",")]


def arguments(parser):
    add = parser.add_argument
    add("trace", metavar="TRACE", help="a directory in the format of Azure Functions 2019, or a CSV file in that of 2021")
    add("--minutes", type=int, help="of the trace (20)")
    add("--warm-up", type=int, help="the first minutes, which are replayed, but not measured (10, and half of the minutes at most)")
    add("--first", type=int, default=0, help="the minute of the trace to begin with (0)")
    add("--speed", type=float, help="how much faster than recorded (10: a minute takes six seconds)")
    add("--functions", type=int, default=0, help="so many of the trace's functions, by chance (all)")
    add("--duration-scale", type=float, help="of recorded durations (1 / speed)")
    add("--memory-scale", type=float, default=0.1, help="of recorded memory, kept by each isolate for its whole life (0.1)")
    add("--spin", type=float, default=0.05, help="the part of a duration that computes, the rest sleeps (0.05)")
    add("--systems", help=f"of {','.join(systems.NAMES)} ({USUAL['systems']})")
    add("--keep-alive", type=numbers, default=[600],
        help="seconds of the trace that an idle isolate is kept (600); of several, 60,600,1200, polyvisor alone is run with each")
    add("--own-keep-alive", type=int, default=OWN_KEEP_ALIVE, help=f"the same for polyvisor, where a start costs little ({OWN_KEEP_ALIVE})")
    add("--spares", type=numbers, default=[0], help="isolates of each function kept ready (0), or several such numbers")
    add("--seed", type=int, default=1, help="of all that chance decides (1)")


def settle(options):
    """Fills in what was not given."""
    for name, value in (QUICK if options.quick else USUAL).items():
        if getattr(options, name) is None:
            setattr(options, name, min(value, options.minutes // 2) if name == "warm_up" else value)
    options.duration_scale = options.duration_scale or 1 / options.speed
    options.systems = options.systems.split(",")
    options.drain = QUICK_DRAIN_SECONDS if options.quick else DRAIN_SECONDS
    unknown = set(options.systems) - set(systems.NAMES)
    if unknown or options.speed <= 0 or not 0 <= options.warm_up < options.minutes or not 0 <= options.spin <= 1:
        raise program.Missing(f"the replay cannot be run with {', '.join(unknown) or 'these numbers'}: systems are "
                              f"{', '.join(systems.NAMES)}, speed above zero, minutes above those of --warm-up, spin from 0 to 1")


class Work:
    """What is replayed: functions, their languages, and when each is invoked for how long."""

    def __init__(self, options, folder):
        whole = traces.read(options.trace)
        self.trace = traces.choose(whole, options.functions, options.seed)
        self.seconds = options.minutes * traces.MINUTE / options.speed
        self.schedule = [(at, index, min(duration, LONGEST_MS)) for at, index, duration in traces.schedule(
            self.trace, options.first, options.minutes, options.speed, options.duration_scale, options.seed)]
        if not self.schedule:
            raise program.Missing(f"{options.trace} has no invocation in the {options.minutes} minutes from {options.first}: "
                                  "choose others with --first and --minutes")
        self.counts = collections.Counter(index for _, index, _ in self.schedule)
        self.languages = traces.languages(self.trace.functions, MIX, options.seed, self.counts)
        self.spin = options.spin
        self.warm_up = options.warm_up * traces.MINUTE / options.speed
        self.functions = [self._function(i, each, options, folder) for i, each in enumerate(self.trace.functions)]

    def _function(self, index, recorded, options, folder):
        runtime = self.languages[index]
        recorded_mb = MEMORY_MB_UNKNOWN if recorded.memory_mb is None else recorded.memory_mb
        kb = int(recorded_mb * options.memory_scale * 1024)
        return Function(f"f{index}", runtime, f"{folder}/{runtime}", HANDLERS[runtime], kb, 256 + 2 * (kb >> 10))

    def event(self, index, duration_ms):
        spin = duration_ms * self.spin
        return json.dumps({"kb": self.functions[index].kb, "spin_ms": round(spin, 3),
                           "sleep_ms": round(duration_ms - spin, 3)}).encode()

    def invoked(self):
        """The functions that are invoked at all; a cloud has the others deployed, too, but they are cold in every system."""
        return [self.functions[index] for index in sorted(self.counts)]

    def facts(self, options):
        by_language = collections.Counter()
        for index, count in self.counts.items():
            by_language[self.languages[index]] += count
        busy = sum(duration for *_, duration in self.schedule) / 1000 / self.seconds
        durations = [duration for *_, duration in self.schedule]
        return {
            "trace": self.trace.name, "functions": len(self.trace.functions), "functions_invoked": len(self.counts),
            "invocations": len(self.schedule), "minutes": options.minutes,
            "warm_up_minutes": options.warm_up, "first_minute": options.first,
            "speed": options.speed, "seconds": round(self.seconds, 1), "duration_scale": options.duration_scale,
            "memory_scale": options.memory_scale, "spin_share": options.spin, "seed": options.seed,
            "arrivals": "as recorded" if self.trace.functions[0].recorded is not None else
                        "uniform by chance within each minute, counts as recorded",
            "offered_per_s": round(len(self.schedule) / self.seconds, 1), "offered_busy": round(busy, 2),
            "offered_processors": round(busy * options.spin, 2),
            "duration_ms": {f"p{p}": round(percentile(durations, p), 3) for p in (50, 99, 99.9)},
            "kept_mb_mean": round(sum(each.kb for each in self.functions) / len(self.functions) / 1024, 2),
            "functions_by_language": dict(collections.Counter(self.languages)), "invocations_by_language": dict(by_language)}


def build(folder):
    """The three functions, ready to be deployed."""
    for runtime in HANDLERS:
        shutil.copytree(FOLDER / runtime, f"{folder}/{runtime}")
    os.chmod(folder, 0o755)
    api = program.beside("runtimes/java/polyvisor-java-api.jar")
    subprocess.run(["javac", "-cp", api, "-d", f"{folder}/java", f"{folder}/java/Replay.java"], check=True, timeout=120,
                   stdin=subprocess.DEVNULL)
    os.unlink(f"{folder}/java/Replay.java")


def scaled_keep_alive(seconds, speed):
    """In whole seconds of the replay, since polyvisor takes no others; only what is nothing stays nothing."""
    return max(1, round(seconds / speed)) if seconds else 0


def run_system(system, work, what, drain_seconds):
    """Replays all of it in one system; its result, its records, and its memory over time."""
    baseline_kb = memory.settled_available_kb(seconds=2)
    with system:
        for i, function in enumerate(work.invoked()):
            progress.progress(f"{what}: deploying {i + 1} of {len(work.counts)} functions")
            system.deploy(function)
        events = [(at, index, work.event(index, duration)) for at, index, duration in work.schedule]
        progress.progress(f"{what}: replaying for {work.seconds:.0f} s")
        loop = OpenLoop(lambda index, event: system.call(work.functions[index], event), events)
        with Sampler(system.roots, baseline_kb=baseline_kb) as sampler:
            records = loop.run(drain_seconds)
    measured = loop.zero - sampler.start + work.warm_up
    kept = sum(work.functions[each.index].kb for each in records if each.start != "warm" and not each.failure)
    return {**summarise(records, work), "memory": {**sampler.summary(measured), "kept_mb": round(kept / 1024, 1)},
            "processors_busy": sampler.processors_busy}, records, sampler.samples


def three(values):
    return {f"p{p}": None if not values else round(percentile(values, p), 3) for p in (50, 99, 99.9)}


def summarise(records, work):
    """Of what was due after the warm-up. Latencies are from when an invocation was due, so that one that could not be
    sent counts as waiting."""
    asked = {(at, index): duration for at, index, duration in work.schedule if at >= work.warm_up}
    records = [each for each in records if each.due >= work.warm_up]
    count = sum(at >= work.warm_up for at, *_ in work.schedule)
    good = [each for each in records if not each.failure]
    latencies = [(each.done - each.due) * 1000 for each in good]
    durations = [asked[each.due, each.index] for each in good]
    starts = collections.Counter(each.start for each in good)
    failures = [each.failure for each in records if each.failure]
    return {
        "invocations": count, "served": len(good), "failed": len(failures),
        "unfinished": count - len(records),
        "first_failure": failures[0] if failures else None, "starts": dict(starts), "cold": len(good) - starts["warm"],
        "latency_ms": three(latencies),
        "slowdown": three([latency / max(duration, 1) for latency, duration in zip(latencies, durations)]),
        "overhead_ms": three([latency - duration for latency, duration in zip(latencies, durations)]),
        "cold_overhead_ms": three([latency - duration for latency, duration, each in zip(latencies, durations, good)
                                   if each.start != "warm"]),
        "generator_late_ms": three([(each.sent - each.due) * 1000 for each in records])}


def change(value, base):
    """In percent: -80 is a fifth."""
    return round(100 * (value / base - 1), 1) if value is not None and base else None


def compare(results):
    base, own = results.get(BASELINE), results.get("polyvisor")
    if not base or not own:
        return None
    return {"memory_mean": change(own["memory"]["pss_mean_mb"], base["memory"]["pss_mean_mb"]),
            "memory_peak": change(own["memory"]["pss_peak_mb"], base["memory"]["pss_peak_mb"]),
            "system_memory_mean": change(own["memory"]["system_mean_mb"], base["memory"]["system_mean_mb"]),
            **{f"latency_{p}": change(own["latency_ms"][p], base["latency_ms"][p]) for p in ("p50", "p99", "p99.9")},
            **{f"overhead_{p}": change(own["overhead_ms"][p], base["overhead_ms"][p]) for p in ("p50", "p99", "p99.9")},
            "slowdown_p99": change(own["slowdown"]["p99"], base["slowdown"]["p99"]),
            "cold_ratio": ratio(own["cold"], base["cold"]), "paper": PAPER, "aims": AIMS}


def own_settings(options, spares):
    return {"spares": spares, "warm": "all", "template_keep_alive": scaled_keep_alive(TEMPLATE_KEEP_ALIVE, options.speed)}


def run_all(options, work, report):
    results, logs, memories = {}, {}, {}
    for name in options.systems:
        is_own = name == "polyvisor"
        settings = own_settings(options, options.spares[0]) if is_own else {}
        keep_alive = options.own_keep_alive if is_own else options.keep_alive[0]
        system = systems.make(name, keep_alive=scaled_keep_alive(keep_alive, options.speed), **settings)
        results[name], logs[name], memories[name] = run_system(system, work, name, options.drain)
        results[name]["description"] = system.description
    draw(report, logs, memories, work)
    return results


def draw(report, logs, memories, work):
    asked = {(at, index): duration for at, index, duration in work.schedule}
    report.csv("replay-memory", ["system", "seconds", "pss_kb", "processes", "system_kb"],
               [[name, *sample] for name, samples in memories.items() for sample in samples])
    report.csv("replay-invocations", ["system", "function", "language", "due_s", "sent_s", "done_s", "duration_ms", "start", "failure"],
               [[name, each.index, work.languages[each.index], round(each.due, 5), round(each.sent, 5), round(each.done, 5),
                 round(asked[each.due, each.index], 3), each.start, each.failure or ""] for name, records in logs.items() for each in records])
    served = {name: [each for each in records if not each.failure] for name, records in logs.items()}
    report.plot("replay-memory", "Memory while the trace is replayed", "seconds of the replay", "proportional memory, MB",
                [(name, [(at, round(pss / 1024, 1)) for at, pss, *_ in samples]) for name, samples in memories.items()])
    report.plot("replay-overhead", "How much longer than they asked for invocations took", "milliseconds", "invocations, %",
                [(name, [max((each.done - each.due) * 1000 - asked[each.due, each.index], 0.01) for each in records])
                 for name, records in served.items()], kind="cdf", logx=True)
    report.plot("replay-slowdown", "Latency as a multiple of the duration asked for", "slowdown", "invocations, %",
                [(name, [(each.done - each.due) * 1000 / max(asked[each.due, each.index], 1) for each in records])
                 for name, records in served.items()], kind="cdf", logx=True)


def run_policies(options, work, report):
    """polyvisor alone, for each keep-alive and number of spares."""
    rows = []
    for keep_alive in options.keep_alive:
        for spares in options.spares:
            system = systems.make("polyvisor", keep_alive=scaled_keep_alive(keep_alive, options.speed), **own_settings(options, spares))
            result, _, _ = run_system(system, work, f"keep-alive {keep_alive} s, {spares} spares", options.drain)
            rows.append({"keep_alive_s": keep_alive, "spares": spares, **result})
    report.csv("replay-policy", ["keep_alive_s", "spares", "cold", "pss_mean_mb", "pss_peak_mb", "overhead_p50_ms", "overhead_p99_ms"],
               [[row["keep_alive_s"], row["spares"], row["cold"], row["memory"]["pss_mean_mb"], row["memory"]["pss_peak_mb"],
                 row["overhead_ms"]["p50"], row["overhead_ms"]["p99"]] for row in rows])
    for name, title, ylabel, value in (
            ("memory", "Memory by keep-alive", "proportional memory, mean, MB", lambda row: row["memory"]["pss_mean_mb"]),
            ("starts", "Invocations that waited for a start, by keep-alive", "invocations", lambda row: row["cold"]),
            ("p99", "Overhead by keep-alive", "p99 of what invocations took longer than asked for, ms", lambda row: row["overhead_ms"]["p99"])):
        report.plot(f"replay-policy-{name}", title, "keep-alive, seconds of the trace", ylabel,
                    [(f"{spares} spares", [(row["keep_alive_s"], value(row)) for row in rows if row["spares"] == spares])
                     for spares in options.spares])
    return rows


def run(options, report):
    settle(options)
    try:
        with tempfile.TemporaryDirectory(prefix="polyvisor-replay-") as folder:
            build(folder)
            work = Work(options, folder)
            result = {**work.facts(options), "keep_alive_s": options.keep_alive, "spares": options.spares,
                      "own_keep_alive_s": options.own_keep_alive}
            if len(options.keep_alive) * len(options.spares) > 1:
                return {**result, "policies": run_policies(options, work, report)}
            results = run_all(options, work, report)
    except traces.Malformed as error:
        raise program.Missing(str(error)) from error
    return {**result, "systems": results, "against_" + BASELINE: compare(results)}


def mixed(counts):
    total = sum(counts.values())
    return ", ".join(f"{name} {100 * counts.get(name, 0) / total:.0f} %" for name in MIX)


def heading(result):
    own = "" if len(result["keep_alive_s"]) > 1 else f", polyvisor's {result['own_keep_alive_s']} s"
    return (f"{result['trace']}: {result['invocations']:,} invocations of {result['functions_invoked']} functions in {result['minutes']} minutes "
            f"(from minute {result['first_minute']}), at {result['speed']:g} times the speed: {result['seconds']:.0f} s\n"
            f"the first {result['warm_up_minutes']} minutes are not measured; arrivals {result['arrivals']}\n"
            f"durations times {result['duration_scale']:.4g} (then p50 {result['duration_ms']['p50']:.1f} ms, "
            f"p99 {result['duration_ms']['p99']:.1f} ms), {100 * result['spin_share']:.0f} % of them spinning, the rest asleep\n"
            f"memory times {result['memory_scale']:g} (then {result['kept_mb_mean']} MB on average), kept by every isolate for its whole life\n"
            f"offered: {result['offered_per_s']:,}/s, {result['offered_busy']} at once on average, {result['offered_processors']} "
            f"processors of spinning; keep-alive {', '.join(map(str, result['keep_alive_s']))} s of the trace{own}; seed {result['seed']}\n"
            f"functions: {mixed(result['functions_by_language'])}; invocations: {mixed(result['invocations_by_language'])}")


ROWS = ["SYSTEM", ">SERVED", ">FAILED", ">COLD", ">PSS MEAN", ">PEAK", ">KEPT", ">SYSTEM MEAN", ">P50", ">P99", ">P99.9", ">SLOWDOWN P50", ">P99",
        ">OVERHEAD P50", ">P99", ">P99.9", ">CPU", ">LATE P99"]


def row(name, each):
    m, latency, slow, over = each["memory"], each["latency_ms"], each["slowdown"], each["overhead_ms"]
    ms = [tables.number(value, 1) for value in latency.values()]
    return [name, f"{each['served']:,}", each["failed"] + each["unfinished"], f"{each['cold']:,}",
            f"{m['pss_mean_mb']:,.0f} MB", f"{m['pss_peak_mb']:,.0f} MB", f"{m['kept_mb']:,.0f} MB", f"{m['system_mean_mb']:,.0f} MB", *ms,
            tables.times(slow["p50"]), tables.times(slow["p99"]), *[tables.number(value, 1) for value in over.values()],
            each["processors_busy"], tables.number(each["generator_late_ms"]["p99"], 1)]


def verdict(c):
    if not c:
        return ""
    lines = [("memory, PSS mean", c["memory_mean"], AIMS["memory"], PAPER["memory"]), ("memory, PSS peak", c["memory_peak"], "", ""),
             ("memory, the system's, mean", c["system_memory_mean"], "", ""), ("latency p50", c["latency_p50"], 0, ""),
             ("latency p99", c["latency_p99"], AIMS["p99"], PAPER["p99"]), ("latency p99.9", c["latency_p99.9"], "", ""),
             ("overhead p50", c["overhead_p50"], "", ""), ("overhead p99", c["overhead_p99"], "", ""), ("slowdown p99", c["slowdown_p99"], "", "")]
    return "\n\n" + tables.table(["POLYVISOR AGAINST ONE PROCESS PER INVOCATION", ">CHANGE", ">AIM", ">GRAALVISOR'S PAPER"],
                                 [[what, "–" if value is None else f"{value:+.1f} %", *(f"{each:+d} %" if each != "" else "" for each in (aim, paper))]
                                  for what, value, aim, paper in lines])


def table(result):
    foot = ("\n\nlatencies and overheads in ms, from when an invocation was due; overhead: what it took longer than the duration it asked for;\n"
            "cold: invocations that were not served by a warm isolate; cpu: processors busy, the load generator included;\n"
            "kept: what the functions themselves were asked to keep, in all isolates that were started, the warm-up's included: no system\n"
            "can hold less at once while it ends no isolate; system mean: what the machine has less of free memory than before;\n"
            "late: of the load generator. Durations below 1 ms count as 1 ms in slowdowns.")
    if "policies" in result:
        rows = [[each["keep_alive_s"], each["spares"], *row("", each)[1:]] for each in result["policies"]]
        return f"{heading(result)}\n\n{tables.table(['>KEEP-ALIVE', '>SPARES', *ROWS[1:]], rows)}{foot}"
    rows = [row(name, each) for name, each in result["systems"].items()]
    return f"{heading(result)}\n\n{tables.table(ROWS, rows)}{foot}{verdict(result['against_' + BASELINE])}"
