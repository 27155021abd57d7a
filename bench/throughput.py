"""Requests per second and latency of a function that does nearly nothing, over HTTP.

warm: isolates serve one request after the other. request: a fresh isolate for every request. The
floor answers every request with the bytes that the function's reply had, by libmicrohttpd alone,
which is what polyvisor's front is made of; wrk loads it in turn with the others.
"""

import subprocess
import time

import load
import program
from progress import progress
from samples import percentile, ratio
from supervisor import Supervisor, Failed, die_with_parent, free_port
from table import number, table as text_table, times, us

LANGUAGES = ["python", "node", "java"]
CONNECTIONS = [1, 8, 32]
MODES = {"warm": "function", "request": "request"}
OWN_HEADERS = ("date", "content-length", "connection")  # libmicrohttpd writes these by itself
MEMBERS = ["requests_per_s", "p50_us", "p90_us", "p99_us"]


def arguments(parser):
    parser.add_argument("--language", action="append", choices=LANGUAGES, help="only this one; may be given again")
    parser.add_argument("--connections", action="append", type=int, metavar="N", help="only so many; may be given again")
    parser.add_argument("--seconds", type=int, metavar="S", help="of each measurement (2, quick: 1)")
    parser.add_argument("--rounds", type=int, metavar="N", help="the median of how many is given (3, quick: 1)")


class Floor:
    """bench-floor, giving the reply that a function gave."""

    def __init__(self, body, headers):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        words = [word for name, value in headers.items() if name.lower() not in OWN_HEADERS for word in (name, value)]
        self.process = subprocess.Popen([program.beside("bench-floor"), str(self.port), body.decode(), *words],
                                        stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)

    def __enter__(self):
        time.sleep(0.1)
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()


def _prepare(supervisor, languages):
    """Deploys a function for each language and mode; a reply of the first one, for the floor."""
    for language in languages:
        for mode, isolation in MODES.items():
            progress(f"deploying {language}, {mode}")
            supervisor.deploy(program.hello(language), f"{language}-{mode}", options=["--isolation", isolation, "--warm"])
            supervisor.invoke(f"{language}-{mode}")
    return supervisor.invoke(f"{languages[0]}-warm")


def _launch_all(supervisor, name, connections):
    """So that no measurement of warm isolates has their launches in it."""
    load.closed_loop(lambda: supervisor.invoke(name), connections, 0.2)


def _measure(supervisor, floor, languages, connections, seconds, what):
    """One round at so many connections: {(language or "floor", mode): what wrk tells}; floors around all."""
    found = {}
    for language in languages:
        progress(f"{what}: {connections} connections, {language}")
        found[language, "floor"] = load.wrk(floor.url, connections, seconds)
        for mode in MODES:
            name = f"{language}-{mode}"
            if mode == "warm":
                _launch_all(supervisor, name, connections)
            found[language, mode] = load.wrk(supervisor.url(name), connections, seconds)
    return found


def _combine(rounds, key):
    """The medians of the rounds, and the ratio to the floor that was measured just before."""
    mine = [each[key] for each in rounds]
    floors = [each[key[0], "floor"] for each in rounds]
    result = {member: percentile([each[member] for each in mine], 50) for member in MEMBERS}
    result.update({"count": sum(each["count"] for each in mine), "errors": sum(each["errors"] for each in mine),
                   "rounds": len(rounds)})
    if key[1] != "floor":
        result["p50_over_floor"] = percentile([ratio(a["p50_us"], b["p50_us"]) for a, b in zip(mine, floors)], 50)
    return result


def _check_errors(supervisor, rows):
    failed = [f"{each['name']} {each['errors']}" for each in supervisor.stats()["functions"] if each["errors"]]
    wrong = [f"{row['language']} {row['mode']} {row['errors']}" for row in rows if row["errors"]]
    if failed or wrong:
        raise Failed(f"requests failed, so that nothing was measured: {', '.join(failed + wrong)}")


def run(options, report):
    languages = options.language or LANGUAGES
    counts = options.connections or CONNECTIONS
    seconds, rounds = options.seconds or (1 if options.quick else 2), options.rounds or (1 if options.quick else 3)
    rows = []
    with Supervisor() as supervisor:
        body, headers = _prepare(supervisor, languages)
        with Floor(body, headers) as floor:
            for connections in counts:
                found = []
                for i in range(rounds):
                    if found and options.budget.left() < seconds * (len(MODES) + 1) * len(languages) * len(counts):
                        break  # a first round of every other count of connections comes before a second of this
                    found.append(_measure(supervisor, floor, languages, connections, seconds, f"round {i + 1} of {rounds}"))
                rows += [{"language": language, "mode": mode, "connections": connections, **_combine(found, (language, mode))}
                         for language in languages for mode in ("floor", *MODES)]
        _check_errors(supervisor, rows)
    result = {"seconds": seconds, "rounds": rounds, "reply_bytes": len(body), "rows": rows}
    _write(report, rows)
    return result


def _series(rows, mode, member):
    """A series for each language, by connections; the floor's is that of all languages together."""
    counts = list(dict.fromkeys(row["connections"] for row in rows))
    words = {n: f"{n} connection{'s' if n > 1 else ''}" for n in counts}
    series = [(language, [(words[row["connections"]], row[member]) for row in rows
                          if row["language"] == language and row["mode"] == mode])
              for language in dict.fromkeys(row["language"] for row in rows)]
    floors = {n: [row[member] for row in rows if row["connections"] == n and row["mode"] == "floor"] for n in counts}
    return [*series, ("floor: a bare HTTP reply", [(words[n], percentile(floors[n], 50)) for n in counts])]


def _write(report, rows):
    columns = ["language", "mode", "connections", *MEMBERS, "count", "errors", "p50_over_floor"]
    report.csv("throughput", columns, [[row.get(column, "") for column in columns] for row in rows])
    for mode, isolates in (("warm", "warm isolates"), ("request", "a fresh isolate for every request")):
        for member, ylabel in (("requests_per_s", "requests per second (log)"), ("p50_us", "median latency, µs (log)")):
            what = "Requests per second" if member == "requests_per_s" else "Median latency"
            report.plot(f"throughput-{mode}-{member.replace('_', '-')}", f"{what}, {isolates}", "", ylabel,
                        _series(rows, mode, member), kind="bars", logy=True)


def rows_of(result):
    """Headings and rows, for this table and that of docs/performance.md."""
    headings = ["language", "isolates", ">connections", ">requests/s", ">p50", ">p90", ">p99", ">p50 / floor", ">samples"]
    names = {"floor": "(floor)", "warm": "warm", "request": "one per request"}
    return headings, [[row["language"], names[row["mode"]], row["connections"], number(row["requests_per_s"]),
                       us(row["p50_us"]), us(row["p90_us"]), us(row["p99_us"]),
                       times(row["p50_over_floor"]) if "p50_over_floor" in row else "", number(row["count"])]
                      for row in result["rows"]]


def table(result):
    return (f"{text_table(*rows_of(result))}\n\n"
            f"A reply has {result['reply_bytes']} bytes. Each figure is the median of {result['rounds']} measurements of {result['seconds']} s, fewer where time\n"
            "was short; the floor is bench-floor, libmicrohttpd with the same reply, measured before each language.")
