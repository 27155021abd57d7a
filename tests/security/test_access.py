"""Who may call: signatures by real clients, keys, function URLs, TLS, secrets."""

import json
import os
import pathlib
import subprocess

import boto3
import botocore.config
import botocore.exceptions
import pytest
import requests

import conftest
from languages import create, zipped

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ECHO = {"app.py": b"import os\ndef handler(event, context):\n    return os.environ.get('TOKEN', event)\n"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"# id and secret\n{KEY} {SECRET}\nOTHER other-secret # of somebody else\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def guarded(polyvisor, keys, tmp_path_factory):
    daemon = conftest.Daemon(tmp_path_factory.mktemp("guarded") / "state", "--keys", keys, "--warm", "python").start()
    yield daemon
    daemon.stop()


def client(daemon, key=KEY, secret=SECRET, **more):
    return boto3.client("lambda", endpoint_url=daemon.url, region_name="us-east-1", aws_access_key_id=key,
                        aws_secret_access_key=secret,
                        config=botocore.config.Config(retries={"max_attempts": 0}), **more)


@pytest.fixture(scope="module")
def function(guarded):
    lambda_ = client(guarded)
    lambda_.create_function(FunctionName="echo", Runtime="python3.11", Role="arn:aws:iam::0:role/any", Handler="app.handler",
                            Code={"ZipFile": zipped(ECHO)}, Tags={"a b": "c d/ü"})
    return "echo"


def test_boto3_signs(guarded, function):
    lambda_ = client(guarded)
    for name in (function, f"arn:aws:lambda:us-east-1:000000000000:function:{function}"):
        reply = lambda_.invoke(FunctionName=name, Payload=json.dumps({"text": "zażółć"}))
        assert json.load(reply["Payload"]) == {"text": "zażółć"}
    assert lambda_.list_functions(MaxItems=5)["Functions"][0]["FunctionName"] == function
    assert lambda_.get_function(FunctionName=function, Qualifier="$LATEST")["Tags"] == {"a b": "c d/ü"}
    big = json.dumps("x" * 5_000_000)
    assert len(lambda_.invoke(FunctionName=function, Payload=big)["Payload"].read()) == len(big)


def test_awscli_signs(guarded, function, tmp_path):
    done = subprocess.run(["/usr/bin/aws", "--endpoint-url", guarded.url, "--region", "us-east-1", "lambda", "invoke",
                           "--function-name", function, "--cli-binary-format", "raw-in-base64-out", "--payload", '{"a": 1}',
                           tmp_path / "out"], capture_output=True, text=True,
                          env={**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET})
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out").read_text()) == {"a": 1}


def test_our_own_command_line_signs(guarded, function, tmp_path):
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    (tmp_path / "mine.py").write_text("def handler(event, context):\n    return event\n")
    guarded.cli("deploy", tmp_path / "mine.py", "--warm", env=keys)
    assert json.loads(guarded.cli("invoke", "mine", '{"a": "ü"}', env=keys).stdout) == {"a": "ü"}
    for words in (["list"], ["show", "mine"], ["stats"], ["runtimes"], ["logs", "mine"], ["remove", "mine"]):
        guarded.cli(*words, env=keys)
    refused = guarded.cli("list", check=False, env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
    assert refused.returncode not in (0, 1) and "not signed" in refused.stderr


@pytest.mark.parametrize("key,secret", [(KEY, "wrong"), ("UNKNOWN", SECRET), ("OTHER", SECRET)])
def test_wrong_keys(guarded, function, key, secret):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client(guarded, key, secret).invoke(FunctionName=function, Payload="{}")
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_unsigned(guarded, function):
    for method, path in (("GET", conftest.FUNCTIONS), ("POST", f"{conftest.FUNCTIONS}/{function}/invocations"),
                         ("GET", "/metrics"), ("GET", "/polyvisor/stats"), ("GET", f"/polyvisor/logs/{function}"),
                         ("DELETE", f"{conftest.FUNCTIONS}/{function}"), ("GET", f"/fn/{function}/")):
        reply = guarded.request(method, path, data=b"{}" if method == "POST" else None)
        assert reply.status_code == 403, (path, reply.text)
        assert reply.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    assert guarded.request("GET", "/healthz").status_code == 200


def signed(daemon, path, body=b"{}", **changes):
    """A request that botocore signed; `changes` are made to it afterwards."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    request = AWSRequest("POST", daemon.url + path, data=body)
    SigV4Auth(Credentials(KEY, SECRET), "lambda", "us-east-1").add_auth(request)
    prepared = request.prepare()
    url, headers = prepared.url, dict(prepared.headers)
    headers.update(changes.get("headers", {}))
    return requests.post(changes.get("url", url), data=changes.get("body", body), headers=headers, timeout=20)


def test_a_signature_is_for_one_request(guarded, function):
    path = f"{conftest.FUNCTIONS}/{function}/invocations"
    assert signed(guarded, path).status_code == 200
    assert signed(guarded, path, headers={"X-Amz-Date": "20200101T000000Z"}).status_code == 403
    assert signed(guarded, path, url=guarded.url + f"{conftest.FUNCTIONS}/other/invocations").status_code == 403
    assert signed(guarded, path, url=guarded.url + path + "?Qualifier=x").status_code == 403
    assert signed(guarded, path, headers={"Host": "elsewhere"}).status_code == 403
    for broken in ("", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
                   "Bearer x", "AWS4-HMAC-SHA256 " + "A" * 8000):
        assert signed(guarded, path, headers={"Authorization": broken}).status_code == 403


def test_another_body(guarded, function):
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    request = AWSRequest("POST", f"{guarded.url}{conftest.FUNCTIONS}/{function}/invocations", data=b'{"mine": 1}')
    SigV4Auth(Credentials(KEY, SECRET), "lambda", "us-east-1").add_auth(request)
    headers = dict(request.prepare().headers)
    assert requests.post(request.url, data=b'{"mine": 1}', headers=headers, timeout=20).status_code == 200
    assert requests.post(request.url, data=b'{"mine": 2}', headers=headers, timeout=20).status_code == 403


def test_function_urls(guarded, function):
    lambda_ = client(guarded)
    lambda_.create_function_url_config(FunctionName=function, AuthType="AWS_IAM")
    assert guarded.request("GET", f"/fn/{function}/").status_code == 403
    assert signed(guarded, f"/fn/{function}/some/path", body=b"").status_code == 200
    lambda_.update_function_url_config(FunctionName=function, AuthType="NONE")
    assert guarded.request("GET", f"/fn/{function}/").status_code == 200


def test_keys_file_is_checked(polyvisor, tmp_path):
    path = tmp_path / "keys"
    for content, mode, expected in (("A b\n", 0o644, "chmod 600"), ("A\n", 0o600, "entry 1"), ("\n", 0o600, "has no key"),
                                    (None, 0, "No such file")):
        if content is not None:
            path.write_text(content)
            path.chmod(mode)
        else:
            path.unlink()
        done = subprocess.run(["timeout", "20", "unshare", "-fp", "--mount-proc", "--kill-child", polyvisor, "serve", "--state",
                               tmp_path / "state", "--listen", "127.0.0.1:0", "--keys", path, "--warm", "none"],
                              capture_output=True, text=True)
        assert done.returncode == 1 and expected in done.stderr, done.stderr


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_no_keys_no_strangers(polyvisor, tmp_path, address):
    done = subprocess.run(["timeout", "20", "unshare", "-fp", "--mount-proc", "--kill-child", polyvisor, "serve", "--state",
                           tmp_path / "state", "--listen", address, "--warm", "none"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "without keys" in done.stderr and "--keys FILE" in done.stderr


def test_tls(polyvisor, keys, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", tmp_path / "key", "-out",
                    tmp_path / "certificate"], check=True, capture_output=True)
    (tmp_path / "key").chmod(0o600)
    daemon = conftest.Daemon(tmp_path / "state", "--keys", keys, "--warm", "none", "--tls-certificate",
                             tmp_path / "certificate", "--tls-key", tmp_path / "key")
    daemon.answers = lambda: _healthy(daemon, tmp_path / "certificate")
    daemon.start()
    try:
        url = f"https://localhost:{daemon.port}"
        assert requests.get(url + conftest.FUNCTIONS, verify=tmp_path / "certificate", timeout=20).status_code == 403
        lambda_ = boto3.client("lambda", endpoint_url=url, region_name="us-east-1", aws_access_key_id=KEY,
                               aws_secret_access_key=SECRET, verify=str(tmp_path / "certificate"))
        lambda_.create_function(FunctionName="echo", Runtime="python3.11", Role="r", Handler="app.handler",
                                Code={"ZipFile": zipped({**ECHO, "filler": os.urandom(300_000)})})
        big = json.dumps("y" * 3_000_000)
        assert lambda_.invoke(FunctionName="echo", Payload=big)["Payload"].read() == big.encode()
    finally:
        daemon.kill()


def _healthy(daemon, certificate):
    try:
        return requests.get(f"https://localhost:{daemon.port}/healthz", verify=certificate, timeout=5).ok
    except requests.RequestException:
        return False


def test_secrets(polyvisor, tmp_path):
    """Variables from a file reach the handler, and nobody else hears of them."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    value = "s3cr3t-value-4711"
    for name, content, mode in (("holder", f"# mine\nTOKEN={value}\n", 0o600), ("open", "TOKEN=x\n", 0o644),
                                ("broken", "not a variable\n", 0o600)):
        (secrets / name).write_text(content)
        (secrets / name).chmod(mode)
    daemon = conftest.Daemon(tmp_path / "state", "--secrets", secrets, "--warm", "python").start()
    try:
        for name in ("holder", "open", "broken", "without"):
            assert create(daemon, name, "python", "app.handler", ECHO).status_code == 201
        for _ in range(2):
            assert daemon.invoke("holder", {}).json() == value
        assert daemon.invoke("without", {"mine": 1}).json() == {"mine": 1}
        for name, expected in (("open", "chmod 600"), ("broken", "is not NAME=VALUE")):
            reply = daemon.invoke(name, {})
            assert reply.headers["X-Amz-Function-Error"] == "Unhandled" and expected in reply.text
        told = [daemon.request("GET", path).text for path in
                ("/metrics", "/polyvisor/stats", conftest.FUNCTIONS + "/holder", "/polyvisor/logs/holder?last=100000")]
        assert not any(value in text for text in [*told, daemon.log(), daemon.cli("show", "holder").stdout])
        daemon.stop()
        assert not any(value.encode() in path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    finally:
        daemon.kill()
