"""The examples, as their READMEs say, and `make run`, which shows them."""

import json
import os
import signal
import subprocess
import time

import pytest

import conftest

EXAMPLES = sorted(path.parent.name for path in (conftest.ROOT / "examples").glob("*/deploy"))


def contains(reply, expected):
    """A reply may have members that expected.json leaves out, such as the bytes of a picture."""
    if isinstance(expected, dict) and isinstance(reply, dict):
        return all(key in reply and contains(reply[key], value) for key, value in expected.items())
    return reply == expected


def test_there_is_one_per_language():
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(daemon, example):
    folder = conftest.ROOT / "examples" / example
    subprocess.run([folder / "deploy"], check=True, timeout=300, stdout=subprocess.DEVNULL,
                   env={**os.environ, "POLYVISOR": str(conftest.POLYVISOR), "POLYVISOR_ENDPOINT": daemon.url})
    for _ in range(2):
        reply = json.loads(daemon.cli("invoke", example, f"@{folder}/event.json").stdout)
        assert contains(reply, json.loads((folder / "expected.json").read_text())), reply


@pytest.mark.parametrize("example", EXAMPLES)
def test_readme_names_the_commands(example):
    text = (conftest.ROOT / "examples" / example / "README.md").read_text()
    assert f"examples/{example}/deploy" in text
    assert f"polyvisor invoke {example} @examples/{example}/event.json" in text


def test_thumbnail_is_a_picture(daemon):
    import base64
    import io
    from PIL import Image
    folder = conftest.ROOT / "examples" / "thumbnail"
    daemon.cli("deploy", folder)
    for form in ("JPEG", "PNG", "WEBP"):
        event = {**json.loads((folder / "event.json").read_text()), "format": form, "width": 50, "height": 50}
        reply = daemon.invoke("thumbnail", event).json()
        picture = Image.open(io.BytesIO(base64.b64decode(reply["image"])))
        assert (picture.format, picture.size) == (form, (50, 33))


def test_run_examples(polyvisor, tmp_path):
    """What `make run` does after the build, until Ctrl-C."""
    port = conftest.free_port()
    build = tmp_path / "build"
    build.mkdir()
    for entry in conftest.BUILD.iterdir():
        if entry.name != "state":
            (build / entry.name).symlink_to(entry)
    with open(tmp_path / "output", "w+") as output:
        process = subprocess.Popen(["unshare", "-fp", "--mount-proc", "--kill-child",
                                    conftest.ROOT / "tools" / "run-examples"], stdout=output, stderr=output,
                                   env={**os.environ, "BUILD": str(build), "LISTEN": f"127.0.0.1:{port}"})
        deadline = time.monotonic() + 120
        text = ""
        while "serving on http://" not in text.split("End it with")[0] or "End it with" not in text:
            assert process.poll() is None and time.monotonic() < deadline, text
            time.sleep(0.2)
            output.seek(0)
            text = output.read()
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        init = int(open(children).read().split()[0])
        pidfd = os.pidfd_open(init)
        signal.pidfd_send_signal(pidfd, signal.SIGINT)
        os.close(pidfd)
        assert process.wait(60) == 0
    for example in EXAMPLES:
        assert f"== {example}" in text
    assert text.count(" start, launched in ") == 2 * len(EXAMPLES)
