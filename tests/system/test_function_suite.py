"""The functions that the benchmarks run: each gives right answers in clones, and its check refuses wrong ones."""

import json

import pytest

import function_suite


@pytest.fixture(scope="module")
def world(polyvisor, tmp_path_factory):
    with function_suite.serving(tmp_path_factory.mktemp("suite") / "state") as served:
        yield served


@pytest.mark.parametrize("function", function_suite.LIGHT, ids=lambda function: function.name)
def test_function_is_right_wherever_it_runs(world, function):
    daemon, url = world
    function_suite.check_everywhere(daemon, function_suite.prepare(function, url))


def spoiled(value):
    """A reply with its first leaf changed."""
    if isinstance(value, dict):
        first = next(iter(value))
        return {**value, first: spoiled(value[first])}
    if isinstance(value, list):
        return [spoiled(value[0]), *value[1:]]
    return value + 1000 if isinstance(value, (int, float)) else value[len(value) // 2:]


@pytest.mark.parametrize("function", function_suite.LIGHT, ids=lambda function: function.name)
def test_check_refuses_what_is_wrong(world, function):
    daemon, url = world
    ready = function_suite.prepare(function, url)
    function_suite.deploy(daemon, ready, "--isolation", "function", "--launch", "clone")
    right = function_suite.invoke(daemon, ready).json()
    for wrong in b"", b"null", b"{}", json.dumps(spoiled(right)).encode(), b'{"errorType": "x", "errorMessage": "y"}':
        assert isinstance(ready.check(wrong), str), wrong[:200]


def test_names_are_unique_and_languages_known():
    names = [function.name for function in function_suite.suite.SUITE]
    assert len(set(names)) == len(names)
    assert {function.language for function in function_suite.suite.SUITE} == {"python", "javascript", "java"}
