"""Recorded traces of serverless clouds, and the invocations that a replay makes of them.

A directory in the format of the Azure Functions dataset of 2019 has three CSV files (found by their
columns, since samples have other names than the original): invocations of each function per minute,
percentiles of its durations, and of its memory, by function or by application. The dataset of 2021 is
one CSV file with a line per invocation: app, func, end_timestamp, duration, both in seconds.
"""

import bisect
import csv
import dataclasses
import os
import random

MINUTE = 60.0
DURATION_COLUMNS = [f"percentile_Average_{p}" for p in (0, 1, 25, 50, 75, 99, 100)]
DURATION_SHARES = [0, 0.01, 0.25, 0.5, 0.75, 0.99, 1]
DRAWS = 200
COLUMNS_2021 = {"app", "func", "end_timestamp", "duration"}


class Malformed(Exception):
    """A trace cannot be used; the text says which file and why."""


@dataclasses.dataclass
class Function:
    """As recorded. Either counts and quantiles are known (2019), or each invocation is (2021)."""
    identity: str
    trigger: str = None
    counts: list = None          # invocations of each minute of the trace
    quantiles_ms: list = None    # at DURATION_SHARES
    memory_mb: float = None
    recorded: list = None        # (seconds since the trace's start, duration in ms), in order


@dataclasses.dataclass
class Trace:
    name: str
    minutes: int
    functions: list


def read(path):
    if os.path.isfile(path):
        return read_2021(path)
    if not os.path.isdir(path):
        raise Malformed(f"{path} is no trace: there is no such file or directory")
    files = sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith((".csv", ".txt")))
    alone = [file for file in files if COLUMNS_2021 <= set(columns(file))]
    return read_2021(alone[0]) if alone else read_2019(path, files)


def columns(path):
    with open(path, newline="") as file:
        return next(csv.reader(file), [])


def rows(path):
    with open(path, newline="") as file:
        yield from csv.DictReader(file)


def file_with(files, column, path):
    """The first with such a column: of the original dataset, with a file for each day, the first day's."""
    for file in files:
        if column in columns(file):
            return file
    raise Malformed(f"{path} is no trace of the Azure Functions 2019 format: no CSV file in it has a column {column}")


def number(text, path):
    try:
        return float(text or 0)
    except ValueError:
        raise Malformed(f"{path} has {text!r} where a number belongs") from None


def read_2019(path, files):
    durations_file = file_with(files, "percentile_Average_50", path)
    memory_file = file_with(files, "AverageAllocatedMb", path)
    invocations_file = file_with(files, "Trigger", path)
    durations = {row["HashFunction"]: [number(row[name], durations_file) for name in DURATION_COLUMNS]
                 for row in rows(durations_file)}
    memory = {row.get("HashFunction") or row["HashApp"]: number(row["AverageAllocatedMb"], memory_file)
              for row in rows(memory_file)}
    minutes = [name for name in columns(invocations_file) if name.isdigit()]
    functions = []
    for row in rows(invocations_file):
        name = row["HashFunction"]
        if name in durations:
            functions.append(Function(name, row["Trigger"], [int(number(row[each], invocations_file)) for each in minutes],
                                      durations[name], memory.get(name, memory.get(row["HashApp"]))))
    if not functions or not minutes:
        raise Malformed(f"{path} has no function with both invocations and durations")
    return Trace(os.path.basename(os.path.normpath(path)), len(minutes), functions)


def read_2021(path):
    if not COLUMNS_2021 <= set(columns(path)):
        raise Malformed(f"{path} is no trace of the Azure Functions 2021 format: it lacks a column of {', '.join(sorted(COLUMNS_2021))}")
    by_function, first, last = {}, None, 0.0
    for row in rows(path):
        duration = number(row["duration"], path)
        start = number(row["end_timestamp"], path) - duration
        by_function.setdefault(f"{row['app']}/{row['func']}", []).append((start, duration * 1000))
        first, last = start if first is None else min(first, start), max(last, start)
    if first is None:
        raise Malformed(f"{path} has no invocation")
    functions = [Function(name, recorded=sorted((start - first, duration) for start, duration in calls))
                 for name, calls in by_function.items()]
    return Trace(os.path.basename(path), int((last - first) // MINUTE) + 1, functions)


def choose(trace, count, seed):
    """So many of its functions, by chance; all where it has no more."""
    if not count or count >= len(trace.functions):
        return trace
    chosen = random.Random(f"functions {seed}").sample(range(len(trace.functions)), count)
    return dataclasses.replace(trace, functions=[trace.functions[i] for i in sorted(chosen)])


def duration_at(quantiles, share):
    """The duration that so great a share of invocations is not above: straight lines between what was recorded."""
    i = min(max(bisect.bisect_right(DURATION_SHARES, share), 1), len(DURATION_SHARES) - 1)
    low, high = DURATION_SHARES[i - 1], DURATION_SHARES[i]
    return quantiles[i - 1] + (quantiles[i] - quantiles[i - 1]) * (share - low) / (high - low)


def arrivals(function, first, minutes, seed):
    """(seconds since minute `first`, duration in ms), in order, for so many minutes of the trace.

    Where only counts per minute were recorded, arrivals lie uniformly within their minute, which is a
    Poisson process of which the count is known; the same seed gives the same ones.
    """
    if function.recorded is not None:
        low, high = first * MINUTE, (first + minutes) * MINUTE
        return [(at - low, duration) for at, duration in function.recorded if low <= at < high]
    chance = random.Random(f"{seed} {function.identity}")
    made = [((minute + chance.random()) * MINUTE, duration_at(function.quantiles_ms, chance.random()))
            for minute, count in enumerate(function.counts[first:first + minutes]) for _ in range(count)]
    return sorted(made)


def schedule(trace, first, minutes, speed, duration_scale, seed):
    """(seconds from the start of the replay, index of the function, duration in ms), in order: time `speed`
    times as fast, durations multiplied by their scale."""
    return sorted((at / speed, index, duration * duration_scale) for index, function in enumerate(trace.functions)
                  for at, duration in arrivals(function, first, minutes, seed))


def distance(languages, weights, mix):
    """How far the shares of languages are from the mix, 0 to 2."""
    shares, total = dict.fromkeys(mix, 0), sum(weights) or 1
    for language, weight in zip(languages, weights):
        shares[language] += weight / total
    return sum(abs(shares[language] - share) for language, share in mix.items())


def languages(functions, mix, seed, counts, draws=DRAWS):
    """A language for each function, by chance, weighted by mix {language: share}.

    A few functions of a cloud have most of its invocations, so one draw may give nearly all of them to one
    language: of many draws, the one is taken that is nearest the mix, by functions and by invocations.
    counts: {index of a function: its invocations}.
    """
    chance = random.Random(f"languages {seed}")
    weights = [counts.get(i, 0) for i in range(len(functions))]
    drawn = [chance.choices(list(mix), list(mix.values()), k=len(functions)) for _ in range(draws)]
    return min(drawn, key=lambda each: distance(each, weights, mix) + distance(each, [1] * len(each), mix))
