"""The node tests of ONNX run through efferent.onnx_backend; onnx_node_tests.txt lists those that do not pass, by
reason.

A test that is listed and passes, or fails with another message than its reason, fails here. `python
Tests/Python/test_onnx_nodes.py` prints what has changed.
"""
import csv
import unittest
from pathlib import Path

import pytest
import suites

pytest.importorskip("onnx")
import efferent.onnx_backend  # noqa: E402
from onnx.backend.test import BackendTest  # noqa: E402

LIST = Path(__file__).with_name("onnx_node_tests.txt")
CASES = BackendTest(efferent.onnx_backend, __name__).test_cases
NAMES = [n for n in dir(CASES["OnnxBackendNodeModelTest"]) if n.startswith("test_") and n.endswith("_cpu")]


def listed():
    """{test: reason}: a reason is a line that ends with a colon, followed by its tests, indented."""
    found, reason = {}, None
    for line in LIST.read_text().splitlines():
        if line.startswith(" "):
            found[line.strip()] = reason
        elif line and not line.startswith("#"):
            reason = line.removesuffix(":")
    return found


def failure(name):
    """The message with which a test fails, on one line, or None."""
    try:
        getattr(CASES["OnnxBackendNodeModelTest"](name), name)()
    except unittest.SkipTest:
        raise
    except Exception as e:
        return " ".join(f"{type(e).__name__}: {e}".split())
    return None


LISTED = listed()


@pytest.mark.parametrize("name", NAMES)
def test_node(name):
    found, reason = failure(name), LISTED.get(name.removesuffix("_cpu"))
    if reason is None:
        assert found is None, found
    else:
        assert found is not None, f"passes now; take it off {LIST.name}"
        assert reason in found


def test_list_names_existing_tests():
    assert not {n + "_cpu" for n in LISTED} - set(NAMES)


@pytest.mark.skipif(suites.ZOO is None, reason="no zoo: set EFFERENT_ZOO")
def test_scope_passes():
    """Of the tests with one op, an expanded function or control flow, at least 1240 of 1324 pass."""
    rows = csv.DictReader((suites.ZOO / "onnx_node_tests_1.22.0.csv").open())
    scope = {r["test"] for r in rows if r["category"][0] in "SEC"}
    assert len(scope) == 1324
    assert len(scope - set(LISTED)) >= 1240


if __name__ == "__main__":
    for name in NAMES:
        found, reason = failure(name), LISTED.get(name.removesuffix("_cpu"))
        if (found is None) != (reason is None) or (found and reason not in found):
            print(f"{name.removesuffix('_cpu')}: {found or 'passes'}")
