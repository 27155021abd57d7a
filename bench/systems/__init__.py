"""The systems that run functions, polyvisor among them, each behind the same few calls (base.System)."""

import importlib

# The name of a system is that of its module and, with a capital letter, of its class.
NAMES = ["polyvisor", "process", "container", "server"]


def make(name, **settings):
    return getattr(importlib.import_module("systems." + name), name.capitalize())(**settings)
