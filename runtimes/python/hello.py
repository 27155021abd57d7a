"""The least that a function can do: what `polyvisor bench` launches."""


def handler(event, context):
    return {"hello": "world"}
