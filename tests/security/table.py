#!/usr/bin/python3
"""The escape suite as the table that SECURITY.md has: `tests/security/table.py` writes it there.

test_documents.py fails where the two differ, so that the table says what the tests expect.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
SECURITY = HERE.parents[1] / "SECURITY.md"
BEGIN, END = "<!-- attacks: written by tests/security/table.py -->", "<!-- end of attacks -->"
sys.path.insert(0, str(HERE / "hostile/python"))

import hostile  # noqa: E402,F401  (registers the attacks)
import attack  # noqa: E402
import isolate_messages  # noqa: E402
import template_messages  # noqa: E402

AREAS = {"files": "Files", "proc": "/proc", "namespaces": "Namespaces and mounts", "processes": "Processes and privileges",
         "kernel": "Parts of the kernel, sockets", "leaks": "What it has without having asked",
         "siblings": "Another isolate of the same function"}
GOOD = ("succeeds", "survives")


def cell(row, origin):
    outcomes = row.expected(origin)
    words = [f"`{word}`" if re.fullmatch(r"E[A-Z0-9]+", word) else word.replace("|", "/") for word in outcomes]
    text = " or ".join(words) or "–"
    return f"**{words[0]}, accepted**: {row.accepted}" if row.accepted and outcomes and outcomes[0] in GOOD else text


def area_lines(area):
    rows = [row for row in attack.ROWS.values() if row.area == area]
    yield f"\n**{AREAS[area]}**\n"
    yield "| what is tried | from an isolate | from a function template |"
    yield "|---|---|---|"
    for row in rows:
        yield f"| {row.what} | {cell(row, 'isolate')} | {cell(row, 'template')} |"


def message_lines(title, rows, heading):
    yield f"\n**{title}**\n"
    yield f"| what it does | {heading} |"
    yield "|---|---|"
    for name, (_, expected) in rows.items():
        yield f"| {name.replace('_', ' ')} | {expected.replace('|', ' or ')} |"


def lines():
    for area in AREAS:
        yield from area_lines(area)
    yield from message_lines("Messages of an isolate to the supervisor", isolate_messages.ROWS, "its invocation is")
    yield from message_lines("Messages of a function template to the supervisor", template_messages.ROWS,
                             "what the caller of its function hears")


def render():
    return "\n".join([BEGIN, *lines(), "", END])


def written(document):
    """What the document has between the marks, these included."""
    return document[document.index(BEGIN):document.index(END) + len(END)]


if __name__ == "__main__":
    text = SECURITY.read_text()
    SECURITY.write_text(text.replace(written(text), render()))
