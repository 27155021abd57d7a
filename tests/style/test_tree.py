"""The rules of CONTRIBUTING.md that a program can check: layers, names, sizes, form."""

import collections
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# layer: what it may include. The supervisor's own folders have an order too.
MAY_INCLUDE = {
    "base": {"base"},
    "wire": {"base", "wire"},
    "envelope": {"base", "envelope"},
    "guest": {"base", "wire", "envelope", "guest"},
    "cli": {"base", "wire", "cli"},
    "supervisor": {"base", "wire", "envelope", "supervisor"},
}
SUPERVISOR_ORDER = ["loop", "host", "store", "launch", "schedule", "front"]
SUPERVISOR_EXCEPTIONS = {("store", "supervisor.h")}  # the options, for defaults


def sources(*suffixes):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True,
                            capture_output=True, check=True).stdout.split()
    return [ROOT / name for name in listed if name.endswith(suffixes) and (ROOT / name).is_file()]


def own_c():
    return [path for path in sources(".c", ".h") if path.relative_to(ROOT).parts[0] in ("src", "include", "runtimes")]


def includes(path):
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.M)


def test_layers():
    wrong = []
    for path in own_c():
        parts = path.relative_to(ROOT).parts
        if parts[0] != "src" or len(parts) < 3:
            continue
        for name in includes(path):
            layer = name.split("/")[0]
            if name != "polyvisor.h" and layer not in MAY_INCLUDE[parts[1]]:
                wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert not wrong


def test_runtimes_use_the_public_header_only():
    wrong = [f"{path.relative_to(ROOT)} includes {name}" for path in own_c()
             if path.relative_to(ROOT).parts[0] == "runtimes" for name in includes(path)
             if name != "polyvisor.h" and not (path.parent / name).exists()]
    assert not wrong


def test_supervisor_folders_have_an_order():
    wrong = []
    for path in own_c():
        parts = path.relative_to(ROOT).parts
        if parts[:2] != ("src", "supervisor") or len(parts) < 4:
            continue
        for name in includes(path):
            target = name.split("/")
            if target[0] != "supervisor" or len(target) < 3:
                continue
            if SUPERVISOR_ORDER.index(target[1]) > SUPERVISOR_ORDER.index(parts[2]):
                wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert not wrong


def test_file_names_are_unique():
    names = collections.Counter(path.name for path in own_c() if path.suffix == ".h")
    assert [name for name, count in names.items() if count > 1] == []


def test_files_are_small():
    assert [f"{path.relative_to(ROOT)}: {n}" for path in own_c()
            if (n := path.read_text().count("\n")) > 1000] == []


def test_functions_are_short():
    if not shutil.which("ctags"):
        pytest.skip("universal-ctags is not installed")
    run = subprocess.run(["ctags", "--output-format=json", "--fields=+ne", "--kinds-C=f", "--languages=C",
                          "--langmap=C:.c.h", "-f", "-", *map(str, own_c())], text=True, capture_output=True, check=True)
    import json
    tags = [json.loads(line) for line in run.stdout.splitlines()]
    long = [f'{tag["path"]}:{tag["line"]} {tag["name"]}' for tag in tags
            if "end" in tag and tag["end"] - tag["line"] + 1 > 60]
    assert long == []


def test_nothing_is_left_for_later():
    word = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    assert [f"{path.relative_to(ROOT)}" for path in sources(".c", ".h", ".py", ".js", ".java", ".build", ".sh")
            if word.search(path.read_text())] == []


def test_files_say_what_they_are():
    assert [str(path.relative_to(ROOT)) for path in own_c() if not path.read_text().lstrip().startswith("/*")] == []


def test_headers_are_guarded():
    assert [str(path.relative_to(ROOT)) for path in own_c() if path.suffix == ".h" and
            "#pragma once" not in path.read_text() and "#ifndef" not in path.read_text()] == []


def test_form():
    if not shutil.which("clang-format"):
        pytest.skip("clang-format is not installed")
    version = subprocess.run(["clang-format", "--version"], text=True, capture_output=True).stdout
    if " 14." not in version:
        pytest.skip("the form is that of clang-format 14")
    run = subprocess.run(["clang-format", "--dry-run", "--Werror", *map(str, sources(".c", ".h"))], text=True,
                         capture_output=True)
    assert run.returncode == 0, run.stderr[:3000]


def test_the_specification_names_tests_that_exist():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "SPECIFICATION.md").read_text()))
    defined = {name for path in sources(".py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)}
    assert named and named <= defined, named - defined
