"""`bench efficiency`: operations per second and GB of the function suite, in polyvisor and beside other ways to run functions.

Steady: 8 connections in a closed loop, when all is warm. Burst: the function is deployed and nothing of it runs, then
64 connections at once; what starts take counts. Memory is the proportional memory of all processes of a system, sampled
while it is under load; the figure per GB is by the peak of the samples, and by their mean beside it.
"""

import math
import tempfile
import threading

import memory
import progress
import program
import systems
import table as tables
from functions import server, suite
from sampler import Sampler
from samples import ratio

STEADY_CONNECTIONS = 8
BURST_CONNECTIONS = 64
WARM_CALLS = 3
PAPER = {"java": 170, "javascript": 26.6, "python": 2.07}
QUICK_FUNCTIONS = ["python-hello", "javascript-hello", "java-hello"]
QUICK_SYSTEMS = ["polyvisor", "process"]
MODES = ("steady", "burst")
KEEP_ALIVE_S = 600
CELL_SECONDS = 5  # that a measurement takes beside the load itself, of which --quick must have so many left


def words(text):
    return text.split(",")


def arguments(parser):
    add = parser.add_argument
    add("--functions", type=words, help="of the suite, as python-hello,java-json (all; quick: the three hellos)")
    add("--systems", type=words, help=f"of {','.join(systems.NAMES)} (all; quick: {','.join(QUICK_SYSTEMS)})")
    add("--modes", type=words, default=list(MODES), help="of steady,burst (both)")
    add("--seconds", type=int, help="of each measurement (steady 5, burst 10; quick: 1, 2)")


def settle(options):
    names = [each.name for each in suite.SUITE]
    options.functions = options.functions or (QUICK_FUNCTIONS if options.quick else names)
    options.systems = options.systems or (QUICK_SYSTEMS if options.quick else systems.NAMES)
    for given, known in (options.functions, names), (options.systems, systems.NAMES), (options.modes, MODES):
        unknown = set(given) - set(known)
        if unknown:
            raise program.Missing(f"the bench knows no {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    usual = {"steady": 1, "burst": 2} if options.quick else {"steady": 5, "burst": 10}
    options.lengths = {mode: options.seconds or usual[mode] for mode in options.modes}


def check(system, function):
    """A wrong answer is not a fast one."""
    wrong = function.check(system.invoke(function, function.event))
    if wrong:
        raise systems.base.Failed(f"{function.name} in {system.name} answers wrongly: {wrong}")


def warm_up(system, function):
    """So many calls at once as there will be connections, and again, that all instances are there and have run."""
    failures = []

    def client():
        try:
            for _ in range(WARM_CALLS):
                check(system, function)
        except Exception as error:  # told below, by the thread that waits
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(STEADY_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def measure_mode(system, function, mode, options):
    """Load, its memory, and what is made of both."""
    seconds = options.lengths[mode]
    baseline_kb = memory.available_kb() if options.quick else memory.settled_available_kb(seconds=2)
    with system:
        system.deploy(function)
        if mode == "steady":
            warm_up(system, function)
        failed = system.errors(function)
        with Sampler(system.roots, interval=0.5, baseline_kb=baseline_kb) as sampler:
            load = system.load(function, STEADY_CONNECTIONS if mode == "steady" else BURST_CONNECTIONS, seconds)
            parts = system.memory_parts()
        failed = system.errors(function) - failed
        if load["count"]:
            check(system, function)
    errors = max(load["errors"], failed)
    rate = load["requests_per_s"] * max(load["count"] - errors, 0) / load["count"] if load["count"] else 0.0
    used = sampler.summary()
    return {"ops_per_s": round(rate, 1), "errors": errors, "count": load["count"], "p50_us": load["p50_us"], "p99_us": load["p99_us"],
            "memory": used, "parts": parts, "ops_per_s_gb": per_gb(rate, used["pss_peak_mb"]), "ops_per_s_gb_mean": per_gb(rate, used["pss_mean_mb"])}


def per_gb(rate, mb):
    return round(rate / (mb / 1024), 1) if mb else None


def measure(function, mode, options):
    """{system: what it did}; where one cannot run the function, why."""
    results = {}
    for name in options.systems:
        progress.progress(f"{function.name}, {mode}: {name}")
        settings = {"warm": function.runtime} if name == "polyvisor" else {}
        system = systems.make(name, keep_alive=KEEP_ALIVE_S, allow_host_network=function.needs_server, **settings)
        if options.budget.left() < options.lengths[mode] + CELL_SECONDS:
            results[name] = {"failure": "no time was left"}
            continue
        try:
            results[name] = measure_mode(system, function, mode, options)
        except (systems.base.Failed, systems.Stopped) as error:
            results[name] = {"failure": str(error)}
    return results


def over(results, name):
    """How much more polyvisor does per GB; None where there is no figure for both."""
    own, other = (results.get(each, {}).get("ops_per_s_gb") for each in ("polyvisor", name))
    return ratio(own, other)


def geometric_mean(values):
    return round(math.exp(sum(map(math.log, values)) / len(values)), 2) if values else None


def ratios(measured, options):
    """By mode, system and language: the geometric mean over functions, of how many, and how many had to be left
    out since the other system completed nothing in its time."""
    rows = []
    for mode in options.modes:
        for name in options.systems:
            for language in PAPER if name != "polyvisor" else ():
                of_language = [each for each in measured if each["language"] == language]
                values = [value for each in of_language if (value := over(each[mode], name))]
                nothing = sum(each[mode].get(name, {}).get("ops_per_s_gb") == 0 for each in of_language)
                if of_language:
                    rows.append({"mode": mode, "system": name, "language": language, "ratio": geometric_mean(values),
                                 "functions": len(values), "completed_nothing": nothing, "paper": PAPER[language]})
    return rows


def run(options, report):
    settle(options)
    chosen = [each for each in suite.SUITE if each.name in options.functions]
    left_out = {each.name: f"lacks {', '.join(suite.missing(each))}" for each in chosen if suite.missing(each)}
    measured = []
    with tempfile.TemporaryDirectory(prefix="polyvisor-suite-") as folder, server.Server() as web:
        for function in suite.prepare(folder, web.url, program.beside("runtimes/java/polyvisor-java-api.jar"), chosen):
            measured.append({"function": function.name, "language": function.language,
                             **{mode: measure(function, mode, options) for mode in options.modes}})
    write(report, measured, options)
    return {"functions": measured, "left_out": left_out, "ratios": ratios(measured, options), "seconds": options.lengths,
            "connections": {"steady": STEADY_CONNECTIONS, "burst": BURST_CONNECTIONS}, "systems": {
                name: systems.make(name).description for name in options.systems}}


def write(report, measured, options):
    columns = ["ops_per_s", "errors", "count", "p50_us", "p99_us", "ops_per_s_gb", "ops_per_s_gb_mean"]
    used = ["pss_peak_mb", "pss_mean_mb", "system_peak_mb", "processes_peak"]
    cells = [(each["function"], mode, name, result) for each in measured for mode in options.modes for name, result in each[mode].items()]
    report.csv("efficiency", ["function", "mode", "system", *columns, *used, "failure"],
               [[function, mode, name, *(result.get(each) for each in columns), *(result.get("memory", {}).get(each) for each in used),
                 result.get("failure", "")] for function, mode, name, result in cells])
    for mode in options.modes:
        report.plot(f"efficiency-{mode}", f"Operations per second and GB, {mode}", "", "operations/s/GB",
                    [(name, [(each["function"], each[mode][name]["ops_per_s_gb"]) for each in measured
                             if each[mode][name].get("ops_per_s_gb")]) for name in options.systems], kind="bars", logy=True)


def part_rows(result):
    """Where polyvisor's memory is at the end of each load, and what the ratio would be if only its isolates counted."""
    rows = []
    for each in result["functions"]:
        for mode in result["seconds"]:
            own, process = each[mode].get("polyvisor", {}), each[mode].get("process", {})
            parts = own.get("parts")
            if not parts:
                continue
            sizes = {kind: mb for kind, (_, mb) in parts.items()}
            alone = per_gb(own["ops_per_s"], sizes["isolate"])
            rows.append([each["function"], mode, *(f"{sizes[kind]:,.1f} MB" for kind in ("supervisor", "helper", "runtime template", "function template")),
                         f"{sizes['isolate']:,.1f} MB", parts["isolate"][0],
                         f"{process['memory']['pss_peak_mb']:,.0f} MB" if "memory" in process else "–",
                         tables.times(ratio(alone, process.get("ops_per_s_gb")))])
    return rows


def cells(results, name):
    each = results[name]
    if "failure" in each:
        return [name, "–", "–", "–", "–", "–", "–", each["failure"][:60]]
    used = each["memory"]
    return [name, f"{each['ops_per_s']:,.0f}", each["errors"], tables.us(each["p50_us"]), tables.us(each["p99_us"]),
            f"{used['pss_peak_mb']:,.0f} MB", f"{used['system_peak_mb']:,.0f} MB", tables.number(each["ops_per_s_gb"])]


def table(result):
    parts = []
    for mode, seconds in result["seconds"].items():
        rows = [[each["function"], *cells(each[mode], name), tables.times(over(each[mode], name)) if name != "polyvisor" else ""]
                for each in result["functions"] if mode in each for name in each[mode]]
        if rows:
            head = f"{mode}: {result['connections'][mode]} connections for {seconds} s"
            parts.append(head + "\n\n" + tables.table(
                ["FUNCTION", "SYSTEM", ">OPS/S", ">ERRORS", ">P50", ">P99", ">PSS PEAK", ">SYSTEM PEAK", ">OPS/S/GB", ">POLYVISOR/IT"], rows))
    rows = part_rows(result)
    if rows:
        parts.append("Where polyvisor's memory is when the load ends, and the ratio that its isolates alone would have against process\n\n" + tables.table(
            ["FUNCTION", "MODE", ">SUPERVISOR", ">HELPERS", ">RUNTIME TEMPLATES", ">FUNCTION TEMPLATES", ">ISOLATES", ">THEIR NUMBER",
             ">PROCESS: ALL", ">RATIO OF ISOLATES ALONE"], rows))
    rows = [[each["mode"], each["language"], each["system"], tables.times(each["ratio"]), each["functions"], each["completed_nothing"] or "",
             tables.times(each["paper"])] for each in result["ratios"]]
    parts.append("polyvisor's ops/s/GB over each system's, geometric mean over functions\n\n" + tables.table(
        ["MODE", "LANGUAGE", "AGAINST", ">RATIO", ">FUNCTIONS", ">IT COMPLETED NOTHING", ">GRAALVISOR'S PAPER"], rows))
    parts += [f"{name}: {what}" for name, what in {**result["systems"], **result["left_out"]}.items()]
    return "\n\n".join(parts)
