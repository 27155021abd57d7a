"""A function that attacks. At import time, in the function template, it tries what at_import.txt names; its
handler tries what the event names, or says what came of the import."""

import os
import pathlib

import attack
import files
import kernel
import leaks
import namespaces
import proc
import processes
import siblings

NAMES = pathlib.Path(__file__).with_name("at_import.txt")
AT_IMPORT = {name: attack.try_attack(name) for name in NAMES.read_text().split()} if NAMES.exists() else {}


def handler(event, context):
    if "hold" in event:
        return siblings.hold(event["hold"])
    if "at_import" in event:
        return AT_IMPORT
    if event.get("berth") and os.getpid() == 1:
        return {}
    return {name: attack.try_attack(name) for name in event["try"]}
