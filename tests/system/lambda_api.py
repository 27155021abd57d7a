"""What the tests of the API share: archives, clients, and functions in whatever language there is."""

import base64
import io
import json
import zipfile

import boto3
import botocore.config

# What every handler of these tests can do, by the member "do" of its event.
HANDLER = """
import base64, json, os, sys, time

def handler(event, context):
    do = event.get("do") if isinstance(event, dict) else None
    if do == "sleep":
        time.sleep(event["seconds"])
    elif do == "fail":
        raise ValueError(event.get("message", "as asked"))
    elif do == "exit":
        os._exit(3)
    elif do == "print":
        print(event["text"])
    elif do == "big":
        return "x" * event["size"]
    elif do == "environment":
        return dict(os.environ)
    elif do == "context":
        return {"request_id": context.aws_request_id, "arn": context.invoked_function_arn,
                "client": context.client_context and context.client_context.custom}
    elif do == "append":
        with open(event["path"], "a") as f:
            f.write(context.aws_request_id + "\\n")
        if event.get("fail"):
            raise ValueError("after writing")
    elif isinstance(event, dict) and "requestContext" in event:
        return url(event)
    return event

def url(event):
    body = event.get("body")
    if body and event["isBase64Encoded"]:
        body = base64.b64decode(body)
    if event["rawPath"].endswith("/event"):
        return event
    if event["rawPath"].endswith("/binary"):
        return {"statusCode": 200, "headers": {"Content-Type": "image/x"}, "isBase64Encoded": True,
                "body": base64.b64encode(body[::-1]).decode()}
    if event["rawPath"].endswith("/json"):
        return json.loads(body)
    if event["rawPath"].endswith("/fail"):
        raise ValueError("no reply")
    return {"statusCode": 201, "headers": {"X-Path": event["rawPath"]}, "cookies": ["a=1", "b=2"],
            "body": "made"}
"""


def archive(files=None, **more):
    """A zip archive of {name: text or bytes}; the handler above as index.py if nothing is said."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in {**({"index.py": HANDLER} if files is None else files), **more}.items():
            # Without a time of its own, so that the same files are the same archive.
            z.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), content)
    return data.getvalue()


def client(daemon, **options):
    """boto3 with settings that make one request per call."""
    config = botocore.config.Config(retries={"max_attempts": 0}, read_timeout=60, **options)
    return boto3.client("lambda", endpoint_url=daemon.url, region_name="us-east-1", config=config,
                        aws_access_key_id="test", aws_secret_access_key="test")


def create(daemon, name, code=None, **members):
    members = {"Runtime": "python", "Handler": "index.handler", "Role": "any", "Timeout": 10, **members}
    return client(daemon).create_function(FunctionName=name, Code={"ZipFile": code or archive()},
                                          **members)


def create_request(name, code=None, **members):
    """The body of a CreateFunction, for tests that speak HTTP themselves."""
    return {"FunctionName": name, "Runtime": "python", "Handler": "index.handler", "Role": "any",
            "Code": {"ZipFile": base64.b64encode(archive() if code is None else code).decode()},
            **members}


def payload(reply):
    return json.loads(reply["Payload"].read())
