"""The least that a function can do."""


def handler(event, context):
    return {"hello": event["name"]}
