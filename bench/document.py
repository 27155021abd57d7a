"""docs/performance.md: every table of a run of all benches, its plots, its verdicts, and the machine.

What a person wrote about it is in performance-notes.md beside it, which becomes a part of it as it is.
"""

import importlib
import json
import os
import shutil

import verdicts
from table import markdown

TITLES = {
    "launches": "Launches", "throughput": "Throughput", "density": "Density", "efficiency": "Efficiency",
    "replay": "A recorded trace", "peers": "Peers",
}
MODULES = {"launches": "launch"}


def _machine(m):
    versions = "; ".join(text for text in m["versions"].values() if text)
    return markdown(["", ""], [
        ["date", m["date"]], ["commit", m["commit"] or "–"],
        ["machine", f"{m['processor']}, {m['cores']} processors{', virtual' if m['virtual'] else ''}, {m['memory_mb']:,} MB of memory"],
        ["system", f"{m['system']}, Linux {m['kernel']}; huge pages: {m['huge_pages'] or '–'}; load at the start: {m['load']}"],
        ["versions", versions]])


def _tables(name, result):
    """The tables of a bench; those with rows as Markdown, the others as the bench prints them."""
    module = importlib.import_module(MODULES.get(name, name))
    parts = {"launches": [("", "rows_of"), ("The parts of a launch on demand", "parts_rows_of")],
             "throughput": [("", "rows_of")],
             "density": [("Isolates of one function", "isolates_rows_of"), ("Function templates", "templates_rows_of"),
                         ("Functions, of all languages in turn", "functions_rows_of")]}.get(name)
    if not parts:
        return ["```text\n" + module.table(result) + "\n```"]
    found = [f"{title + chr(10) * 2 if title else ''}{markdown(*getattr(module, rows)(result))}" for title, rows in parts]
    note = module.table(result).split("\n\n")[-1].replace("\n", " ") if name == "throughput" else module.NOTE.replace("\n", " ")
    return [*found, note]


def _plots(name, report, folder):
    """Copies the plots of a bench; the words that show them."""
    try:
        with open(os.path.join(report.directory, name, "report.json")) as file:
            plots = json.load(file)["plots"]
    except (OSError, ValueError, KeyError):
        return []
    for plot in plots:
        shutil.copy(os.path.join(report.directory, name, plot["file"]), os.path.join(folder, plot["file"]))
    return [f"![{plot['title']}](performance/{plot['file']})" for plot in plots]


def _section(name, step, report, folder):
    words = " ".join(["polyvisor bench", name, *step.get("words", [])])
    lines = [f"## {TITLES[name]}", f"`{words}`" + (f", {step['seconds']:.0f} s" if "seconds" in step else "")]
    if "failed" in step:
        return [*lines, f"Not measured: {step['failed']}."]
    return [*lines, *_tables(name, step["result"]), *_plots(name, report, folder)]


def _notes(directory):
    try:
        with open(os.path.join(directory, "performance-notes.md")) as file:
            return [file.read().strip()]
    except OSError:
        return []


def write(directory, report, result):
    """directory/performance.md, with what the steps in report's directory drew."""
    folder = os.path.join(directory, "performance")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    parts = ["# Performance",
             "Written by `polyvisor bench all` (`sudo make bench`) from one run; nothing in it was typed but the notes. Every figure "
             "stands beside its floor or its rival, measured in the same run; compare the ratios, since machines differ.",
             _machine(report.data["machine"]), "## Aims and verdicts", markdown(*verdicts.cells_of(result["verdicts"])), *_notes(directory)]
    for name, step in result["steps"].items():
        parts += _section(name, step, report, folder)
    with open(os.path.join(directory, "performance.md"), "w") as file:
        file.write("\n\n".join(parts) + "\n")
