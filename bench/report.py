"""The report of a bench: report.json, CSV files, and plots by gnuplot as SVG.

A series of a plot is (label, points): pairs of numbers for "line" and "step", (word, number) for
"bars", and the samples themselves for "cdf".
"""

import csv
import json
import os
import shutil
import subprocess

import machine

# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a6d00"]
MARKS = [7, 5, 9, 11, 13, 6, 4, 8]
CDF_POINTS = 400


def _quoted(text):
    """Text for gnuplot in single quotes, in which only these mean something: in double ones it runs commands."""
    return "'" + str(text).replace("'", "''").replace("\n", " ") + "'"


def _cdf(values):
    """Points of the share of samples not above a value, dense where the tail is."""
    ordered = sorted(values)
    n = len(ordered)
    chosen = {i * (n - 1) // CDF_POINTS for i in range(CDF_POINTS + 1)} | set(range(max(0, n - 100), n)) if n else set()
    return [(ordered[i], 100 * (i + 1) / n) for i in sorted(chosen)]


def _block(name, rows):
    return [f"${name} << E", *(" ".join(str(value) for value in row) for row in rows), "E"]


def _head(path, title, xlabel, ylabel):
    return [
        'set terminal svg size 900,520 dynamic font "DejaVu Sans,Helvetica,Arial,sans-serif,14" background "#ffffff" noenhanced',
        f"set output {_quoted(path)}",
        f"set title {_quoted(title)} font ',17' offset 0,0.4",
        f"set xlabel {_quoted(xlabel)} offset 0,0.4", f"set ylabel {_quoted(ylabel)}",
        "set border 3 lc rgb '#555555'", "set tics nomirror textcolor rgb '#222222'",
        "set grid xtics ytics lc rgb '#dddddd' lt 1 lw 0.7", "set key outside below center horizontal height 0.8",
        "set style data lines", "set rmargin 3",
        *(f"set linetype {i + 1} lc rgb '{colour}' lw 2.4 pt {mark} ps 0.6"
          for i, (colour, mark) in enumerate(zip(COLOURS, MARKS))),
    ]


def _bars(series):
    """Groups of bars: a group for each word, in the order of first mention, a colour for each series."""
    words = list(dict.fromkeys(word for _, points in series for word, _ in points))
    by_word = [{word: value for word, value in points} for _, points in series]
    rows = [['"' + str(word).replace('"', "") + '"', *(values.get(word, "NaN") for values in by_word)] for word in words]
    plots = [f"$bars using {i + 2}:xtic(1) title {_quoted(label)} lt {i + 1}" for i, (label, _) in enumerate(series)]
    turn = ["set xtics rotate by -25"] if sum(map(lambda word: len(str(word)), words)) > 80 else []
    return [*_block("bars", rows), "set style data histograms", "set style histogram clustered gap 1",
            "set style fill solid 0.9 noborder", "set boxwidth 0.9", "unset grid", "set grid ytics lc rgb '#dddddd' lt 1",
            *turn, "plot " + ", ".join(plots)]


def _lines(series, kind):
    style = {"line": "linespoints", "cdf": "lines", "step": "steps"}[kind]
    commands, plots = [], []
    for i, (label, points) in enumerate(series):
        commands += _block(f"s{i}", _cdf(points) if kind == "cdf" else points)
        plots.append(f"$s{i} using 1:2 with {style} title {_quoted(label)} lt {i % len(COLOURS) + 1}")
    return commands + ["plot " + ", ".join(plots)]


class Report:
    """What one bench writes, below a directory."""

    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        os.makedirs(self.directory, exist_ok=True)
        self.data = {"machine": machine.machine(), "results": {}, "files": [], "plots": []}

    def add(self, name, result):
        self.data["results"][name] = result

    def _file(self, name):
        if name not in self.data["files"]:
            self.data["files"].append(name)
        return os.path.join(self.directory, name)

    def csv(self, name, columns, rows):
        with open(self._file(name + ".csv"), "w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])

    def plot(self, name, title, xlabel, ylabel, series, kind="line", logx=False, logy=False, zero=True):
        """Draws NAME.svg; nothing where there is nothing to draw, or no gnuplot to draw it."""
        series = [(label, list(points)) for label, points in series if points]
        if not series or not shutil.which("gnuplot"):
            return
        axes = [*(["set logscale x"] if logx else []), *(["set logscale y"] if logy else [])]
        axes += ["set yrange [0:*]"] if zero and not logy else []
        axes += ["set yrange [0:100]"] if kind == "cdf" else []
        body = _bars(series) if kind == "bars" else _lines(series, kind)
        script = [*_head(self._file(name + ".svg"), title, xlabel, ylabel), *axes, *body]
        done = subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, capture_output=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"gnuplot did not draw {name}: {done.stderr.strip()[-300:]}")
        self.data["plots"].append({"file": name + ".svg", "title": title})

    def write(self):
        with open(self._file("report.json"), "w") as file:
            json.dump(self.data, file, indent=1)
            file.write("\n")
