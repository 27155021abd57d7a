"""Memory and launch time as isolates, function templates and functions grow.

Memory is told twice: as the system's, which is what the kernel has less of, its own memory for
processes included; and as the proportional memory (PSS) of all processes of the supervisor, which
leaves the kernel's out. At each step a function of its own, which has a fresh isolate for every
request, says how long a launch takes.
"""

import concurrent.futures
import json
import zipfile

import memory
import program
from progress import progress
from samples import ratio, summary
from supervisor import Supervisor, Failed, zip_of
from table import number, table as text_table, times, us

LANGUAGES = ["python", "node", "java"]
RUNTIMES = {"python": "python3.11", "node": "nodejs20.x", "java": "java17"}  # any identifier selects what is installed
HANDLERS = {"python": "hello.handler", "node": "hello.handler", "java": "Hello"}
PROBE = "probe"
CREATORS = 8
RESERVE = 3  # seconds that ending takes


def arguments(parser):
    parser.add_argument("--language", action="append", choices=LANGUAGES, help="only this one; may be given again")
    parser.add_argument("--isolates", type=int, metavar="N", help="the most isolates of one function (1000, quick: 100)")
    parser.add_argument("--templates", type=int, metavar="N", help="how many function templates are weighed (50, quick: 10)")
    parser.add_argument("--functions", type=int, metavar="N", help="the most functions deployed (10000, quick: 300)")
    parser.add_argument("--in-use", type=int, metavar="N", help="the most functions in use (1000, quick: 50)")
    parser.add_argument("--probes", type=int, metavar="N", help="launches timed at each step (100, quick: 30)")


class Plan:
    """How far it goes."""

    def __init__(self, options):
        quick = options.quick
        self.languages = options.language or LANGUAGES
        self.isolates = options.isolates or (100 if quick else 1000)
        self.templates = options.templates or (10 if quick else 50)
        self.functions = options.functions or (300 if quick else 10000)
        self.in_use = options.in_use or (50 if quick else 1000)
        self.codes = -(-self.in_use // len(self.languages)) * len(self.languages)  # each of one language
        self.probes = options.probes or (30 if quick else 100)
        self.settle = 0.6 if quick else 4
        self.budget = options.budget
        self.stopped = []

    def steps(self, end, rows):
        """1, 10, 100 ... and the end; but none is begun that would take as long again as all before it
        where less is left than that. What is left out is told."""
        start = self.budget.used()
        for n in steps(end):
            if rows and self.budget.left() < RESERVE + self.budget.used() - start:
                self.stopped.append(n)
                return
            yield n


def steps(end):
    """1, 10, 100 ... and the end."""
    found, n = [], 1
    while n < end:
        found.append(n)
        n *= 10
    return [*found, end]


def _package(language, number):
    """The smallest function of a language, as code that no other function has."""
    if language == "java":
        with zipfile.ZipFile(program.hello("java")) as jar:
            files = {name: jar.read(name) for name in jar.namelist()}
        return zip_of({**files, "number.txt": str(number)})
    path = program.hello(language)
    comment = {"python": "#", "node": "//"}[language]
    with open(path) as file:
        return zip_of({path.rpartition("/")[2]: f"{file.read()}\n{comment} {number}\n"})


def _create(supervisor, language, number, name, **options):
    supervisor.create(name, RUNTIMES[language], HANDLERS[language], _package(language, number), **options)


def _probe(supervisor, count):
    """Launches of the function that has a fresh isolate for every request."""
    launches = []
    for _ in range(count):
        _, headers = supervisor.invoke(PROBE)
        if headers["X-Polyvisor-Start"] != "clone":
            raise Failed(f"the probe started by {headers['X-Polyvisor-Start']}, not by clone")
        launches.append(int(headers["X-Polyvisor-Launch-Us"]))
    return {"launch_" + key + ("" if key == "count" else "_us"): value for key, value in summary(launches).items()}


def _make_probe(supervisor, language, count):
    supervisor.deploy(program.hello(language), PROBE, options=["--isolation", "request", "--warm"])
    supervisor.invoke(PROBE)
    return _probe(supervisor, count)


def _weigh(supervisor, plan, since=None):
    """Memory now, and how much more it is than when `since` was weighed."""
    available = memory.settled_available_kb(plan.settle, means=2)
    kinds = memory.kinds(supervisor.pid)
    of_kind = {kind: memory.pss_kb(pids) for kind, pids in kinds.items()}
    own = memory.pss_kb([supervisor.pid])
    weight = {"available_kb": available, "pss_kb": own + sum(of_kind.values()), "supervisor_kb": own,
              "processes": {kind: len(pids) for kind, pids in kinds.items()}, "pss_by_kind_kb": of_kind}
    if since:
        weight["system_kb"] = since["available_kb"] - available
        weight["pss_more_kb"] = weight["pss_kb"] - since["pss_kb"]
    return weight


def _isolates_of(supervisor, name):
    stats = supervisor.function_stats(name)
    return stats["isolates"]["idle"] if stats and stats["template_ready"] else -1


def _measure_language(language, plan):
    """(rows of _grow_isolates, what _weigh_templates says): one supervisor for both."""
    with Supervisor() as supervisor:
        _make_probe(supervisor, language, plan.probes)  # the first launches warm what the later share
        templates = _weigh_templates(supervisor, language, plan)
        return _grow_isolates(supervisor, language, plan), templates


def _grow_isolates(supervisor, language, plan):
    """One function with 1, 10 ... idle isolates; and what one more costs, from the template alone on."""
    rows = []

    def deploy(isolates):
        supervisor.deploy(program.hello(language), "many", options=["--warm"],
                          settings={"spares": isolates, "concurrency": plan.isolates})
        supervisor.wait_for(f"{isolates} isolates", lambda: _isolates_of(supervisor, "many") == isolates, 180)

    deploy(0)
    none = _weigh(supervisor, plan)
    for n in plan.steps(plan.isolates, rows):
        progress(f"{language}: {n} isolates")
        deploy(n)
        weight = _weigh(supervisor, plan, none)
        rows.append({"isolates": n, **weight, **_each(weight, n), **_probe(supervisor, plan.probes)})
    return _with_ratios(rows)


def _each(weight, count):
    return {member + "_each": round(weight[member] / count, 1) for member in ("system_kb", "pss_more_kb")}


def _with_ratios(rows):
    for row in rows:
        row["launch_over_first"] = ratio(row["launch_p50_us"], rows[0]["launch_p50_us"])
    return rows


def _weigh_templates(supervisor, language, plan):
    """Functions that have a template and no isolate, beside the probe's."""
    none = _weigh(supervisor, plan)
    for i in range(plan.templates):
        progress(f"{language}: {i} function templates")
        _create(supervisor, language, i, f"function-{i}", warm=True)
    _wait_for_templates(supervisor, plan.templates + 1)
    weight = _weigh(supervisor, plan, none)
    for i in range(plan.templates):
        supervisor.remove(f"function-{i}")
    return {"templates": plan.templates, "processes": weight["processes"], **_each(weight, plan.templates)}


def _wait_for_templates(supervisor, count):
    supervisor.wait_for(f"{count} function templates",
                        lambda: sum(each["template_ready"] for each in supervisor.stats()["functions"]) >= count, 180)


def _first_uses(supervisor, plan, first, end):
    """Invokes the functions of these numbers for the first time; how long their starts took."""
    launches = []
    for i in range(first, end):
        if i % 10 == 0:
            progress(f"functions in use: {i}")
        _, headers = supervisor.invoke(f"function-{i}")
        if headers["X-Polyvisor-Start"] != "first":
            raise Failed(f"function-{i} started as {headers['X-Polyvisor-Start']} at its first use")
        launches.append(int(headers["X-Polyvisor-Launch-Us"]))
    return {"first_" + key + ("" if key == "count" else "_us"): value for key, value in summary(launches).items()}


def _create_all(supervisor, plan, numbers):
    """Those that are never used have the code of one that is: unpacking 10,000 archives is no part of this."""
    def create(i):
        _create(supervisor, plan.languages[i % len(plan.languages)], i % plan.codes, f"function-{i}")

    with concurrent.futures.ThreadPoolExecutor(CREATORS) as pool:
        list(pool.map(create, numbers))


def _grow_functions(plan):
    """1, 10 ... functions of all languages in turn; up to plan.in_use of them have template and isolate."""
    rows, deployed, used = [], 0, 0
    before = {"available_kb": memory.settled_available_kb(plan.settle), "pss_kb": 0}
    with Supervisor() as supervisor:
        _make_probe(supervisor, plan.languages[0], plan.probes)
        for language in plan.languages:  # so that no first use waits for its language's own template
            _create(supervisor, language, -1, "warm-" + language)
            supervisor.invoke("warm-" + language)
        for n in plan.steps(plan.functions, rows):
            progress(f"deploying functions {deployed} to {n}")
            _create_all(supervisor, plan, range(deployed, n))
            deployed, using = n, min(n, plan.in_use)
            first = _first_uses(supervisor, plan, used, using)
            used = using
            progress(f"weighing {n} functions, {used} in use")
            rows.append({"functions": n, "in_use": used, **_weigh(supervisor, plan, before), **_probe(supervisor, plan.probes), **first})
            _check_all_alive(rows[-1], used)
    return _with_ratios(rows)


def _check_all_alive(row, used):
    """The memory budget may have ended some: then it was not measured what is said."""
    for kind in ("function template", "isolate"):
        if row["processes"][kind] < used:
            raise Failed(f"{used} functions are in use, and there are {row['processes'][kind]} of kind {kind}: "
                         "the memory budget may be too small for this machine")


def run(options, report):
    plan = Plan(options)
    result = {"isolates": {}, "templates": {}}
    for language in plan.languages:
        result["isolates"][language], result["templates"][language] = _measure_language(language, plan)
    result["functions"] = _grow_functions(plan)
    result["left_out_for_time"] = plan.stopped
    _write(report, result)
    return result


def _write(report, result):
    columns = ["system_kb", "pss_kb", "supervisor_kb", "launch_count", "launch_p50_us", "launch_p99_us", "launch_over_first"]
    own = ["isolates", "system_kb_each", "pss_more_kb_each"]
    report.csv("density-isolates", ["language", *own, *columns],
               [[language, *(row[column] for column in own + columns)] for language, rows in result["isolates"].items() for row in rows])
    own = ["functions", "in_use"]
    report.csv("density-functions", own + columns + ["processes"],
               [[*(row[column] for column in own + columns), json.dumps(row["processes"])] for row in result["functions"]])
    _plot(report, result)


def _plot(report, result):
    by_language = result["isolates"].items()
    report.plot("density-isolates-memory", "Memory as isolates grow, kernel memory included", "idle isolates of one function (log)",
                "MB more than with none (log)",
                [(language, [(row["isolates"], row["system_kb"] / 1024) for row in rows if row["system_kb"] > 0])
                 for language, rows in by_language], logx=True, logy=True)
    report.plot("density-isolates-launch", "Launch time as isolates grow", "idle isolates alive (log)", "launch p50, µs",
                [(language, [(row["isolates"], row["launch_p50_us"]) for row in rows]) for language, rows in by_language], logx=True)
    rows = result["functions"]
    report.plot("density-functions-memory", "Memory as functions grow", "functions deployed (log)", "MB (log)",
                [(label, [(row["functions"], row[member] / 1024) for row in rows if row[member] > 0]) for label, member in
                 (("everything, kernel memory included", "system_kb"), ("all processes (PSS)", "pss_kb"),
                  ("the supervisor alone", "supervisor_kb"))], logx=True, logy=True)
    report.plot("density-functions-launch", "Launch time as functions grow", "functions deployed (log)", "launch, µs",
                [(f"p{p}", [(row["functions"], row[f"launch_p{p}_us"]) for row in rows]) for p in (50, 99)], logx=True)


def isolates_rows_of(result):
    headings = ["language", ">idle isolates", ">system memory", ">each", ">PSS each", ">launch p50", ">p99", ">p50 / first", ">launches"]
    return headings, [[language, number(row["isolates"]), f"{row['system_kb'] / 1024:,.1f} MB", f"{row['system_kb_each']:,.0f} KB",
                       f"{row['pss_more_kb_each']:,.0f} KB", us(row["launch_p50_us"]), us(row["launch_p99_us"]),
                       times(row["launch_over_first"]), row["launch_count"]]
                      for language, rows in result["isolates"].items() for row in rows]


def templates_rows_of(result):
    return ["language", ">templates", ">system memory each", ">PSS each"], [
        [language, each["templates"], f"{each['system_kb_each']:,.0f} KB", f"{each['pss_more_kb_each']:,.0f} KB"]
        for language, each in result["templates"].items()]


def functions_rows_of(result):
    headings = [">deployed", ">in use", ">processes", ">supervisor (PSS)", ">all (PSS)", ">system memory", ">launch p50", ">p99",
                ">p50 / first", ">launches", ">first use p50"]
    return headings, [[number(row["functions"]), number(row["in_use"]), number(sum(row["processes"].values())),
                       f"{row['supervisor_kb'] / 1024:,.1f} MB", f"{row['pss_kb'] / 1024:,.0f} MB", f"{row['system_kb'] / 1024:,.0f} MB",
                       us(row["launch_p50_us"]), us(row["launch_p99_us"]), times(row["launch_over_first"]), row["launch_count"],
                       us(row.get("first_p50_us"))] for row in result["functions"]]


NOTE = ("System memory is what the kernel says is available no more, its own included. That of isolates counts from the function\n"
        "template on, that of function templates from the runtime template on, that of functions from before the supervisor.\n"
        "Functions beyond those in use have the code of one of these. Each launch is one of a further function, in Python\n"
        "where functions grow; its floor is its own time at the first step.")


def table(result):
    left_out = result["left_out_for_time"]
    said = f"\n\nLeft out for lack of time, from here on: {', '.join(map(str, left_out))}." if left_out else ""
    return (f"Isolates of one function\n\n{text_table(*isolates_rows_of(result))}\n\n"
            f"Function templates\n\n{text_table(*templates_rows_of(result))}\n\n"
            f"Functions, of all languages in turn\n\n{text_table(*functions_rows_of(result))}\n\n{NOTE}{said}")
