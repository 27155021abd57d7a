"""Where the program under measurement and its parts are: POLYVISOR_PROGRAM, which `polyvisor bench`
sets, else the place that this folder has beside it in a build tree, an installation or the sources."""

import os

FOLDER = os.path.dirname(os.path.abspath(__file__))
_BUILD = os.environ.get("POLYVISOR_BUILD")
_PLACES = [*([_BUILD + "/polyvisor"] if _BUILD else []), "../polyvisor", "../../../bin/polyvisor", "../build/polyvisor"]


class Missing(Exception):
    """Something that a bench needs is not on this machine; the text says what, and what to do."""


def polyvisor():
    given = os.environ.get("POLYVISOR_PROGRAM")
    for place in [given] if given else _PLACES:
        path = os.path.normpath(os.path.join(FOLDER, place))  # as written: the folder may be a link
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise Missing(f"there is no polyvisor program at {given or 'the places beside ' + FOLDER}: "
                  "run `make`, or start the bench as `polyvisor bench`")


def beside(name):
    """A file or folder that belongs to the program, as in its build tree or as installed."""
    folder = os.path.dirname(os.path.realpath(polyvisor()))
    for place in (name, "../lib/polyvisor/" + name):
        path = os.path.join(folder, place)
        if os.path.exists(path):
            return os.path.abspath(path)
    raise Missing(f"{name} is not beside {folder}/polyvisor: build all of the tree with `make`")


def hello(language):
    """The least that a function of a language can do, which the language ships for benches."""
    names = {"python": "hello.py", "node": "hello.js", "java": "hello.jar"}
    return beside(f"runtimes/{language}/{names[language]}")
