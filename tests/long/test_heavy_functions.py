"""The functions of the benchmarks that need large libraries: igraph, OpenBLAS and OpenMP under scikit-learn, pandas, ffmpeg."""

import pytest

import function_suite


@pytest.fixture(scope="module")
def world(polyvisor, tmp_path_factory):
    with function_suite.serving(tmp_path_factory.mktemp("suite") / "state") as served:
        yield served


@pytest.mark.parametrize("function", function_suite.HEAVY, ids=lambda function: function.name)
def test_function_is_right_wherever_it_runs(world, function):
    daemon, url = world
    function_suite.check_everywhere(daemon, function_suite.prepare(function, url))
