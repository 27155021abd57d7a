"""What the suites that run over all languages know about each: how its probe is deployed.

A new language is a row here and a probe in tests/system/probe/<language>.
"""

import base64
import dataclasses
import io
import pathlib
import subprocess
import zipfile

from conftest import BUILD, FUNCTIONS

PROBES = pathlib.Path(__file__).resolve().parent / "probe"


@dataclasses.dataclass(frozen=True)
class Language:
    name: str
    handler: str
    error_type: str        # of the probe's "throw"
    marshal_types: tuple   # what "unserialisable" may be called
    broken_syntax: dict    # files of a function whose code does not compile or load
    broken_handler: str    # its handler


def _python(directory):
    return {"probe.py": (PROBES / "python/probe.py").read_bytes()}


def _node(directory):
    return {"probe.js": (PROBES / "node/probe.js").read_bytes()}


def _java(directory):
    target = directory / "classes"
    if not target.exists():
        subprocess.run(["javac", "-nowarn", "-cp", BUILD / "runtimes/java/polyvisor-java-api.jar", "-d", target,
                        PROBES / "java/Probe.java"], check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in target.glob("*.class")}


FILES = {"python": _python, "node": _node, "java": _java}

LANGUAGES = [
    Language("python", "probe.handler", "ValueError", ("Runtime.MarshalError",),
             {"broken.py": b"def handler(event, context:\n"}, "broken.handler"),
    Language("node", "probe.handler", "RangeError", ("Runtime.MarshalError", "TypeError"),
             {"broken.js": b"exports.handler = async (event => {\n"}, "broken.handler"),
    Language("java", "Probe", "java.lang.IllegalArgumentException", ("Runtime.MarshalError", "java.lang.StackOverflowError"),
             {"Broken.class": b"\xca\xfe\xba\xbe not a class"}, "Broken"),
]


def zipped(files):
    """An archive as clients upload it; values are contents."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def create(daemon, name, runtime, handler, files, **members):
    """CreateFunction; `files` is a dict of contents, or the bytes of an archive. Returns the reply."""
    archive = files if isinstance(files, bytes) else zipped(files)
    body = {"FunctionName": name, "Runtime": runtime, "Handler": handler, "Role": "arn:aws:iam::0:role/any",
            "Timeout": 20, "Code": {"ZipFile": base64.b64encode(archive).decode()}, **members}
    return daemon.request("POST", FUNCTIONS, json=body)


def create_probe(daemon, language, directory, name=None, **members):
    name = name or f"probe-{language.name}"
    reply = create(daemon, name, language.name, language.handler, FILES[language.name](directory), **members)
    assert reply.status_code == 201, reply.text
    return name
