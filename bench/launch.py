"""Launches: from the decision to create an isolate to the isolate ready for an event.

On demand is measured by `polyvisor bench launch`, which forks an equal process in turn with every
launch: the floor. The parts of such a launch are found by difference: the floor is the fork;
launches by a supervisor with its envelope off, in turn with those of one with it on, say what the
sandbox costs; the rest is the channel, the descriptors and the threads of the clone. From a spare
there is nothing to launch: what a caller waits for is given, beside the same for a warm isolate.
First use ever is the first invocation of a function that was just created: namespaces, network,
the code and an isolate.
"""

import json
import subprocess
import time

import program
from progress import progress
from samples import percentile, ratio, summary
from supervisor import Supervisor, Failed, die_with_parent, world
from table import number, table as text_table, times, us

LANGUAGES = ["python", "node", "java"]
# full, quick
LAUNCHES = (1000, 200)
SPLIT = (300, 60)
SPARES = (200, 40)
FIRST = (30, 8)
SPARES_KEPT = 2


def arguments(parser):
    parser.add_argument("--language", action="append", choices=LANGUAGES, help="only this one; may be given again")
    parser.add_argument("--count", type=int, metavar="N", help="launches on demand (1000, quick: 200), the others in proportion")


def _counts(options):
    wanted = [pair[1 if options.quick else 0] for pair in (LAUNCHES, SPLIT, SPARES, FIRST)]
    share = options.count / wanted[0] if options.count else 1
    return [max(3, round(n * share)) for n in wanted]


def bench_launch(language, count, *options):
    """What `polyvisor bench launch --json` says."""
    done = subprocess.run([*world(), program.polyvisor(), "bench", "launch", "--runtime", language, "--count", str(count),
                           "--json", *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
                          preexec_fn=die_with_parent)
    if done.returncode != 0:
        raise Failed(f"polyvisor bench launch failed: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)


def _timed(supervisor, name):
    """(microseconds that the caller waited, of these the launch, how it started)"""
    start = time.perf_counter()
    _, headers = supervisor.invoke(name)
    waited = (time.perf_counter() - start) * 1e6
    return waited, int(headers["X-Polyvisor-Launch-Us"]), headers["X-Polyvisor-Start"]


def _expect(start, wanted):
    if start != wanted:
        raise Failed(f"the bench needs an isolate that starts as \"{wanted}\", and one started as \"{start}\"")


def _split(confined, bare, language, count):
    """Launches with and without the envelope, in turn, and what a caller waits beside a launch."""
    for supervisor in (confined, bare):
        supervisor.deploy(program.hello(language), f"{language}-fresh", options=["--isolation", "request", "--warm"])
        for _ in range(5):
            supervisor.invoke(f"{language}-fresh")
    on, off, beside = [], [], []
    for _ in range(count):
        waited, launch, start = _timed(confined, f"{language}-fresh")
        _expect(start, "clone")
        on.append(launch)
        beside.append(waited - launch)
        off.append(_timed(bare, f"{language}-fresh")[1])
    return on, off, beside


def _from_spare(supervisor, language, count):
    name = f"{language}-spare"
    supervisor.deploy(program.hello(language), name, settings={"spares": SPARES_KEPT},
                      options=["--isolation", "request", "--warm"])
    waits = []
    for _ in range(count):
        supervisor.wait_for("spares", lambda: supervisor.function_stats(name)["isolates"]["idle"] >= SPARES_KEPT, 30)
        waited, _, start = _timed(supervisor, name)
        _expect(start, "spare")
        waits.append(waited)
    supervisor.remove(name)
    return waits


def _warm(supervisor, language, count):
    name = f"{language}-warm"
    supervisor.deploy(program.hello(language), name, options=["--warm"])
    supervisor.invoke(name)
    return [_timed(supervisor, name)[0] for _ in range(count)]


def _first(supervisor, language, count):
    launches = []
    for i in range(count):
        name = f"{language}-first-{i}"
        supervisor.deploy(program.hello(language), name)
        _, launch, start = _timed(supervisor, name)
        _expect(start, "first")
        launches.append(launch)
        supervisor.remove(name)
    return launches


def _parts(on_demand, on, off, beside):
    """Medians. What is negative is smaller than what the machine's noise lets see."""
    sandbox = percentile(on, 50) - percentile(off, 50)
    rest = on_demand["p50_us"] - on_demand["floor_p50_us"] - sandbox
    return {"fork_us": on_demand["floor_p50_us"], "sandbox_us": round(sandbox, 1), "rest_us": round(rest, 1),
            "first_event_us": round(percentile(beside, 50), 1), "count": len(on)}


def _us(values):
    return {member + "_us" if member != "count" else member: round(value, 1) for member, value in summary(values).items()}


def _measure(confined, bare, language, counts):
    launches, split, spares, first = counts
    progress(f"{language}: {launches} launches on demand, each beside a fork")
    on_demand = bench_launch(language, launches, "--no-memory")
    progress(f"{language}: launches with and without the envelope")
    on, off, beside = _split(confined, bare, language, split)
    progress(f"{language}: from spares")
    samples = {"on demand (launch)": on, "from a spare (wait of the caller)": _from_spare(confined, language, spares),
               "warm (wait of the caller)": _warm(confined, language, spares)}
    progress(f"{language}: first use")
    samples["first use ever (launch)"] = _first(confined, language, first)
    return samples, {"on_demand": {**on_demand, "p50_over_floor": ratio(on_demand["p50_us"], on_demand["floor_p50_us"])},
                     "parts": _parts(on_demand, on, off, beside),
                     "from_spare": _us(samples["from a spare (wait of the caller)"]),
                     "warm": _us(samples["warm (wait of the caller)"]),
                     "first": _us(samples["first use ever (launch)"])}


def run(options, report):
    result, rows = {}, []
    with Supervisor() as confined, Supervisor(["--envelope", "off"]) as bare:
        for language in options.language or LANGUAGES:
            samples, result[language] = _measure(confined, bare, language, _counts(options))
            rows += [(language, kind, round(value, 1)) for kind, values in samples.items() for value in values]
            report.plot(f"launch-{language}", f"How long a start takes, {language}", "µs (log)", "share of starts, %",
                        list(samples.items()), kind="cdf", logx=True)
    report.csv("launches", ["language", "kind", "us"], rows)
    _plot_parts(report, result)
    return result


def _plot_parts(report, result):
    parts = [("fork (floor)", "fork_us"), ("sandbox", "sandbox_us"), ("channel, descriptors, threads", "rest_us"),
             ("first event and reply", "first_event_us")]
    report.plot("launch-parts", "Where the time of a launch on demand goes", "", "µs, median",
                [(label, [(language, each["parts"][member]) for language, each in result.items()]) for label, member in parts],
                kind="bars")


def rows_of(result):
    headings = ["language", "start", ">samples", ">p50", ">p90", ">p99", ">floor p50", ">p50 / floor"]
    rows = []
    for language, each in result.items():
        demand, spare, warm, first = each["on_demand"], each["from_spare"], each["warm"], each["first"]
        rows += [[language, "on demand", number(demand["count"]), us(demand["p50_us"]), us(demand["p90_us"]), us(demand["p99_us"]),
                  us(demand["floor_p50_us"]), times(demand["p50_over_floor"])],
                 [language, "from a spare: the caller waits", number(spare["count"]), us(spare["p50_us"]), us(spare["p90_us"]),
                  us(spare["p99_us"]), us(warm["p50_us"]), times(ratio(spare["p50_us"], warm["p50_us"]))],
                 [language, "first use ever", number(first["count"]), us(first["p50_us"]), us(first["p90_us"]), us(first["p99_us"]),
                  us(demand["floor_p50_us"]), times(ratio(first["p50_us"], demand["floor_p50_us"]))]]
    return headings, rows


def parts_rows_of(result):
    headings = ["language", ">samples", ">fork (floor)", ">sandbox", ">channel, descriptors, threads", ">first event and reply"]
    return headings, [[language, each["parts"]["count"], us(each["parts"]["fork_us"]), us(each["parts"]["sandbox_us"]),
                       us(each["parts"]["rest_us"]), us(each["parts"]["first_event_us"])] for language, each in result.items()]


NOTE = ("The floor is the fork of an equally large process, taken in turn with each launch on demand; for a spare, the wait for\n"
        "a warm isolate. The parts are medians: the sandbox is what launches with the envelope take longer than those\n"
        "without, taken in turn; the first event comes after the launch, and is what the caller waits beside it.")


def table(result):
    return f"{text_table(*rows_of(result))}\n\nThe parts of a launch on demand\n\n{text_table(*parts_rows_of(result))}\n\n{NOTE}"
