"""The AWS SDK for JavaScript as a client. It is installed into a cache of its own, once."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from lambda_api import archive

HERE = pathlib.Path(__file__).parent / "sdk"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "polyvisor-tests/sdk"


@pytest.fixture(scope="session")
def sdk():
    """The directory that has the SDK, for NODE_PATH."""
    package = (HERE / "package.json").read_text()
    installed = CACHE / "installed.json"
    if not installed.exists() or installed.read_text() != package:
        CACHE.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", CACHE / "package.json")
        done = subprocess.run(["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts"], cwd=CACHE,
                              capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            pytest.fail(f"npm could not install the AWS SDK for JavaScript:\n{done.stderr[-2000:]}", pytrace=False)
        installed.write_text(package)
    return CACHE / "node_modules"


def test_the_sdk_for_javascript_manages_a_function(daemon, sdk, tmp_path):
    code = tmp_path / "code.zip"
    code.write_bytes(archive())
    done = subprocess.run(["node", HERE / "client.mjs", daemon.url, code], capture_output=True, text=True,
                          timeout=60, env={**os.environ, "NODE_PATH": str(sdk)})
    assert done.returncode == 0, done.stderr
    saw = json.loads(done.stdout)
    errors = saw.pop("errors")
    assert saw == {
        "created": "arn:aws:lambda:us-east-1:000000000000:function:sdk", "got": "Active", "listed": ["sdk"],
        "invoked": [200, {"a": "é"}, "$LATEST"], "log": True, "failed": ["Unhandled", "ValueError"],
        "event": 202, "streamed": ['"streamed"', "InvokeComplete"], "updated": 256, "tags": {"a": "1"},
        "url": f"{daemon.url}/fn/sdk/", "deleted": 204}
    assert {kind: error[:2] for kind, error in errors.items()} == {
        "conflict": ["ResourceConflictException", 409], "parameter": ["InvalidParameterValueException", 400],
        "archive": ["InvalidParameterValueException", 400], "json": ["InvalidRequestContentException", 400],
        "revision": ["PreconditionFailedException", 412], "large": ["RequestTooLargeException", 413],
        "gone": ["ResourceNotFoundException", 404]}
    assert "not a zip archive" in errors["archive"][2] and "901" in errors["parameter"][2]
