"""All benches, one after the other in bounded form, the table of aims and verdicts, and docs/performance.md.

Each bench is a process of its own, so that one that fails or takes too long costs only its own figures.
"""

import json
import os
import signal
import subprocess
import sys
import time

import document
import program
import verdicts
from progress import progress
from supervisor import die_with_parent
from table import table as text_table

TRACES = ["shared/traces/azure2019", "../shared/traces/azure2019", "../../shared/traces/azure2019"]
MINUTES = 20
ENDING_SECONDS = 20  # of a bench that is told to end
LEAST_SECONDS = 45

SHORT_FUNCTIONS = "python-hello,python-dynamic-html,javascript-hello,javascript-dynamic-html,java-hello,java-json"

# bench: (its words, with --quick for all, seconds at most)
STEPS = {
    "launches": ([], ["--quick"], 240),
    "throughput": (["--rounds", "2"], ["--quick"], 240),
    "density": ([], ["--quick"], 420),
    "efficiency": (["--functions", SHORT_FUNCTIONS, "--seconds", "3"], ["--quick"], 400),
    "replay": (["--systems", "polyvisor,process"], ["--quick"], 330),
    "peers": (["--seconds", "120"], ["--quick"], 160),
}


def arguments(parser):
    parser.add_argument("--only", metavar="NAME,...", help="run these alone, of " + ", ".join(STEPS))
    parser.add_argument("--trace", metavar="TRACE", help="for replay; ../shared/traces/azure2019 where there is one")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"for all together ({MINUTES}); what does not fit is left out")
    parser.add_argument("--write", metavar="DIR", help="write DIR/performance.md and DIR/performance/*.svg")


def _trace(options):
    if options.trace:
        return options.trace
    source = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    return next((path for path in (os.path.join(base, place) for base in (source, os.getcwd()) for place in TRACES)
                 if os.path.isdir(path)), None)


def _words(name, options):
    words = STEPS[name][1 if options.quick else 0]
    if name != "replay":
        return words
    trace = _trace(options)
    if not trace:
        raise program.Missing("there is no trace at ../shared/traces/azure2019: name one with --trace")
    return [trace, *words]


def _end(process):
    """As Ctrl-C does, so that it ends what it started; then for good."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _run_bench(name, words, seconds, report):
    """{"result": ...} or {"failed": why} of one bench."""
    command = [sys.executable, "-B", program.FOLDER, name, "--json", "--report", report, *words]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "POLYVISOR_PROGRAM": program.polyvisor()}, preexec_fn=die_with_parent)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        return {"failed": f"it was ended after {seconds:.0f} s"}
    except BaseException:
        _end(process)
        raise
    if process.returncode != 0:
        return {"failed": err.strip().removeprefix("polyvisor bench: ").split("\n")[-1][-300:] or f"it ended with {process.returncode}"}
    return {"result": json.loads(out)["result"]}


def _step(name, options, deadline, report):
    left = deadline - time.monotonic()
    if left < LEAST_SECONDS:
        return {"failed": "no time was left"}
    try:
        words = _words(name, options)
    except program.Missing as error:
        return {"failed": str(error)}
    progress(f"{name}, with {left / 60:.0f} minutes left")
    start = time.monotonic()
    seconds = min(STEPS[name][2], left)
    within = [] if options.quick else ["--within", f"{seconds - ENDING_SECONDS:.0f}"]
    found = _run_bench(name, [*words, *within], seconds, os.path.join(report.directory, name))
    return {**found, "words": [word if not os.path.isabs(word) else os.path.basename(word) for word in words],
            "seconds": round(time.monotonic() - start, 1)}


def run(options, report):
    chosen = options.only.split(",") if options.only else list(STEPS)
    unknown = [name for name in chosen if name not in STEPS]
    if unknown:
        raise program.Missing(f"there is no bench {', '.join(unknown)}: there are {', '.join(STEPS)}")
    deadline = time.monotonic() + options.minutes * 60
    steps = {name: _step(name, options, deadline, report) for name in STEPS if name in chosen}
    result = {"steps": steps, "verdicts": verdicts.rows_of(steps)}
    if options.write:
        document.write(options.write, report, result)
    return result


def table(result):
    said = [f"{name}: {step['failed']}" for name, step in result["steps"].items() if "failed" in step]
    took = ", ".join(f"{name} {step['seconds']:.0f} s" for name, step in result["steps"].items() if "seconds" in step)
    return "\n\n".join([text_table(*verdicts.cells_of(result["verdicts"])), *(["Not measured\n" + "\n".join(said)] if said else []), took])
