"""The table of design section 8: what was aimed at, what was measured, beside which floor, and whether it is met.

A row is a dict with aim, on, measured, floor, verdict. What was not measured is said to be so, with the reason.
"""

from table import number, times, us

LANGUAGES = {"python": "Python", "node": "Node.js", "java": "Java", "javascript": "JavaScript"}
LAUNCH_P50_US, LAUNCH_P99_US, LAUNCH_RATIO = 200, 500, 2.0
FIRST_US = {"python": 10_000, "node": 10_000, "java": 40_000}
WARM_RATIO, WARM_PER_S, FRESH_PER_S = 1.5, 20_000, 1_000
ISOLATE_KB = {"python": 0.6 * 1024, "node": 1.0 * 1024, "java": 1.5 * 1024}
FUNCTIONS, IN_USE, SUPERVISOR_MB, EVERYTHING_MB, GROWTH = 10_000, 1_000, 100, 4096, 1.2
EFFICIENCY = {"java": (170, 170), "javascript": (27, 26.6), "python": (10, 2.07)}  # our aim, the paper's
REPLAY = (("memory, mean", "memory_mean", -95, -83), ("p99 latency", "latency_p99", -95, -68), ("median latency", "latency_p50", 0, None))


def judge(*checks):
    """What is met, of (label, value, limit) with a limit not to be exceeded; at least one has a value."""
    missed = [label for label, value, limit in checks if value is None or value > limit]
    return "met" if not missed else "missed: " + ", ".join(missed) if len(checks) > 1 else "missed"


def row(aim, on, measured, floor, verdict):
    return {"aim": aim, "on": on, "measured": measured, "floor": floor, "verdict": verdict}


def not_measured(aim, on, why):
    return row(aim, on, "–", "–", "not measured: " + why)


def _launch_rows(result):
    rows = []
    for language, each in result.items():
        demand, first = each["on_demand"], each["first"]
        rows.append(row(f"launch p50 ≤ {LAUNCH_P50_US} µs, p99 ≤ {LAUNCH_P99_US} µs, p50 ≤ {LAUNCH_RATIO:.0f}× the floor", LANGUAGES[language],
                        f"p50 {us(demand['p50_us'])}, p99 {us(demand['p99_us'])}, {times(demand['p50_over_floor'])}", us(demand["floor_p50_us"]),
                        judge(("p50", demand["p50_us"], LAUNCH_P50_US), ("p99", demand["p99_us"], LAUNCH_P99_US),
                              ("ratio", demand["p50_over_floor"], LAUNCH_RATIO))))
    for language, each in result.items():
        demand, first = each["on_demand"], each["first"]
        rows.append(row(f"first use ever ≤ {FIRST_US[language] // 1000} ms", LANGUAGES[language],
                        f"p50 {us(first['p50_us'])}, p99 {us(first['p99_us'])}", us(demand["floor_p50_us"]),
                        judge(("p50", first["p50_us"], FIRST_US[language]))))
    return rows


def _throughput_rows(result):
    by = {(each["language"], each["mode"], each["connections"]): each for each in result["rows"]}
    rows = []
    for language in dict.fromkeys(each["language"] for each in result["rows"]):
        one, many = by.get((language, "warm", 1)), by.get((language, "warm", 32))
        if one:
            rows.append(row(f"warm, 1 connection: p50 ≤ {WARM_RATIO}× a bare reply", LANGUAGES[language],
                            f"{us(one['p50_us'])}, {times(one['p50_over_floor'])}", us(by[language, "floor", 1]["p50_us"]),
                            judge(("ratio", one["p50_over_floor"], WARM_RATIO))))
        if many:
            rows.append(row(f"warm, 32 connections: ≥ {WARM_PER_S:,}/s", LANGUAGES[language], f"{number(many['requests_per_s'])}/s",
                            f"{number(by[language, 'floor', 32]['requests_per_s'])}/s", judge(("rate", -many["requests_per_s"], -WARM_PER_S))))
    for language in dict.fromkeys(each["language"] for each in result["rows"]):
        fresh = [each for each in result["rows"] if each["language"] == language and each["mode"] == "request"]
        best = max(fresh, key=lambda each: each["requests_per_s"])
        rows.append(row(f"a fresh isolate for every request: ≥ {FRESH_PER_S:,}/s", LANGUAGES[language],
                        f"{number(best['requests_per_s'])}/s at {best['connections']} connection{'s' if best['connections'] > 1 else ''}",
                        f"{number(by[language, 'floor', best['connections']]['requests_per_s'])}/s",
                        judge(("rate", -best["requests_per_s"], -FRESH_PER_S))))
    return rows


def _isolate_aim(language):
    return f"one more idle isolate ≤ {ISOLATE_KB[language] / 1024:.1f} MB, kernel included"


def _density_rows(result):
    rows = []
    for language, each in result["isolates"].items():
        if not each:
            continue
        most = each[-1]
        if most["system_kb_each"] < most["pss_more_kb_each"]:  # a part cannot be more than the whole
            rows.append(not_measured(_isolate_aim(language), LANGUAGES[language], f"other work on the machine freed more memory; "
                                     f"without the kernel's it is {most['pss_more_kb_each'] / 1024:.2f} MB (PSS)"))
            continue
        rows.append(row(_isolate_aim(language), LANGUAGES[language],
                        f"{most['system_kb_each'] / 1024:.2f} MB, of {most['isolates']:,} isolates", "–",
                        judge(("memory", most["system_kb_each"], ISOLATE_KB[language]))))
    return rows + [_functions_row(result["functions"])]


def _functions_row(functions):
    aim = (f"{FUNCTIONS:,} functions deployed, {IN_USE:,} in use: supervisor ≤ {SUPERVISOR_MB} MB, everything ≤ {EVERYTHING_MB // 1024} GB, "
           "launch unchanged within 20 %")
    if not functions:
        return not_measured(aim, "all", "no time was left")
    last = functions[-1]
    everything = max(last["system_kb"], last["pss_kb"])  # where other work freed memory, the system's says too little
    measured = (f"supervisor {last['supervisor_kb'] / 1024:.0f} MB, everything {everything / 1024:,.0f} MB, "
                f"launch {times(last['launch_over_first'])} of that with one")
    floor = us(functions[0]["launch_p50_us"])
    if last["functions"] < FUNCTIONS or last["in_use"] < IN_USE:
        return row(aim, "all", f"at {last['functions']:,} deployed, {last['in_use']:,} in use: {measured}", floor, "not measured in full")
    return row(aim, "all", measured, floor,
               judge(("supervisor", last["supervisor_kb"] / 1024, SUPERVISOR_MB), ("everything", everything / 1024, EVERYTHING_MB),
                     ("launch", last["launch_over_first"], GROWTH)))


def _replay_rows(result):
    against = result.get("against_process")
    if not against:
        return _replay_missing("no process-per-invocation system was replayed beside")
    rows = []
    for what, member, aim, paper in REPLAY:
        value = against[member]
        said = f"trace: {what} {f'{aim:+d} %' if aim else 'not worse'}{f' (the paper: {paper:+d} %)' if paper else ''}"
        rows.append(row(said, "mixed", "–" if value is None else f"{value:+.1f} %", "process per invocation", judge((what, value, aim))))
    return rows


def _replay_missing(why):
    return [not_measured(f"trace: memory −95 % (the paper: −83 %), p99 −95 % (the paper: −68 %), median not worse", "mixed", why)]


def _efficiency_aim(language):
    aim, paper = EFFICIENCY[language]
    return f"ops/s/GB ≥ {aim}× one process per invocation (the paper: ×{paper})"


def _efficiency_rows(result):
    """Steady and burst are judged each; in burst, a rival that completes nothing has no ratio, which is said."""
    rows = []
    for each in result["ratios"]:
        if each["system"] != "process":
            continue
        nothing = f"; {each['completed_nothing']} more, of which it completed nothing" if each["completed_nothing"] else ""
        said = f"{each['mode']}: {times(each['ratio'])}, mean of {each['functions']} functions{nothing}"
        verdict = judge(("ratio", -each["ratio"], -EFFICIENCY[each["language"]][0])) if each["ratio"] else "not measured: there is no ratio"
        rows.append(row(_efficiency_aim(each["language"]), LANGUAGES[each["language"]], said, "process per invocation", verdict))
    return rows or _efficiency_missing("no process-per-invocation system was measured beside")


def _efficiency_missing(why):
    return [not_measured(_efficiency_aim(language), LANGUAGES[language], why) for language in EFFICIENCY]


def _missing_by_aim(aims):
    return lambda why: [not_measured(aim, "all", why) for aim in aims]


# bench: (rows of its result, rows where there is no result)
ROWS = {
    "launches": (_launch_rows, _missing_by_aim(["launch p50 ≤ 200 µs, p99 ≤ 500 µs, p50 ≤ 2× the floor", "first use ever ≤ 10 ms, Java 40 ms"])),
    "throughput": (_throughput_rows, _missing_by_aim(["warm p50 ≤ 1.5× a bare reply, ≥ 20,000/s at 32 connections",
                                                      "a fresh isolate for every request: ≥ 1,000/s"])),
    "density": (_density_rows, _missing_by_aim(["one more idle isolate ≤ 0.6, 1, 1.5 MB", "10,000 functions deployed, 1,000 in use"])),
    "efficiency": (_efficiency_rows, _efficiency_missing),
    "replay": (_replay_rows, _replay_missing),
}


def rows_of(steps):
    """The whole table; steps is {bench: {"result": ...} or {"failed": why}}."""
    rows = []
    for name, (found, missing) in ROWS.items():
        step = steps.get(name, {"failed": "it was left out"})
        rows += found(step["result"]) if "result" in step else missing(step["failed"])
    return rows


HEADINGS = ["aim", "on", "measured", "floor", "verdict"]


def cells_of(rows):
    return HEADINGS, [[each[heading] for heading in HEADINGS] for each in rows]
