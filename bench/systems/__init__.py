"""The systems that run functions, polyvisor among them, each behind the same few calls (base.System)."""

import importlib

from systems import base  # noqa: F401
from supervisor import Failed as Stopped  # noqa: F401

# The name of a system is that of its module and, with a capital letter, of its class.
NAMES = ["polyvisor", "process", "container", "server"]


def make(name, **settings):
    return getattr(importlib.import_module("systems." + name), name.capitalize())(**settings)
