"""The benches of polyvisor but `bench launch`: `polyvisor bench NAME`, or python3 on this folder.

A bench is a module with run(options, report) -> dict and table(result) -> str, and may add options
of its own in arguments(parser). options has quick, json, report and budget (progress.Budget).
"""

import argparse
import importlib
import importlib.util
import json
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import machine  # noqa: E402
import program  # noqa: E402
import progress  # noqa: E402
import report  # noqa: E402
import supervisor  # noqa: E402

QUICK_SECONDS = 40

# name: (module, what it measures)
BENCHES = {
    "launches": ("launch", "launches by runtime: on demand, from a spare, first use ever"),
    "throughput": ("throughput", "requests per second and latency, beside a bare HTTP reply"),
    "density": ("density", "memory and launch time as isolates and functions grow"),
    "efficiency": ("efficiency", "operations per second and GB, beside other ways to run functions"),
    "replay": ("replay", "a recorded trace of a cloud, beside other ways to run functions"),
    "peers": ("peers", "other runtimes on the same work"),
    "all": ("all", "all of these, bounded, and the table of aims and verdicts"),
}


def load(name):
    module, what = BENCHES[name]
    if not importlib.util.find_spec(module):
        raise program.Missing(f"bench {name} ({what}) is not part of this installation: its module {module}.py is missing")
    return importlib.import_module(module)


def parse(words):
    parser = argparse.ArgumentParser(prog="polyvisor bench", description="Measures polyvisor beside its floor and its rivals.",
                                     epilog="benches: " + "; ".join(f"{name}: {what}" for name, (_, what) in BENCHES.items()))
    if not words or words[0].startswith("-"):
        parser.add_argument("name", choices=BENCHES)
        parser.parse_args(words)
    name = words[0]
    if name not in BENCHES:
        parser.error(f"there is no bench {name}: there are {', '.join(BENCHES)}")
    module = load(name)
    parser = argparse.ArgumentParser(prog=f"polyvisor bench {name}", description=f"Measures {BENCHES[name][1]}.")
    parser.add_argument("--quick", action="store_true", help=f"measure less, in at most {QUICK_SECONDS} seconds")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--report", metavar="DIR", default=f"bench-report/{name}",
                        help="where report.json, CSV files and plots go (bench-report/%s)" % name)
    parser.add_argument("--within", type=float, metavar="SECONDS", help="leave out what does not fit into so many seconds")
    getattr(module, "arguments", lambda parser: None)(parser)
    options = parser.parse_args(words[1:])
    options.budget = progress.Budget(options.within or (QUICK_SECONDS if options.quick else None))
    return name, module, options


def measure(name, module, options):
    out = report.Report(options.report)
    result = module.run(options, out)
    progress.progress()
    out.add(name, result)
    out.write()
    if options.json:
        json.dump({"bench": name, "machine": out.data["machine"], "report": out.directory, "result": result}, sys.stdout, indent=1)
        print()
        return
    print(f"{machine.sentence(out.data['machine'])}\n\n{module.table(result)}\n")
    print(f"report: {out.directory}", file=sys.stderr)


ENDINGS = signal.SIGINT, signal.SIGTERM


def end_once(number, frame):
    """What was started is ended on the way out, which a second signal must not cut short."""
    for each in ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    for number in ENDINGS:
        signal.signal(number, end_once)
    try:
        measure(*parse(sys.argv[1:]))
        sys.stdout.flush()
    except (program.Missing, supervisor.Failed) as error:
        progress.progress()
        print(f"polyvisor bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        progress.progress()
        print("polyvisor bench: the bench was interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
