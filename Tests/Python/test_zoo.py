"""Every model of the zoo gives onnxruntime's outputs: stateless sets, other batch sizes, and sequences whose state the session carries."""
import efferent
import pytest
import suites

ZOO = suites.zoo()
absent = pytest.mark.skipif(not ZOO, reason="no zoo: set EFFERENT_ZOO")
NAMED = [r for r in ZOO if any(s["input_name"] in ("h_in", "c_in") for s in r["state"])]


@absent
@pytest.mark.parametrize("record", ZOO, ids=[r["file"].removesuffix(".onnx") for r in ZOO])
def test_matches_onnxruntime(record):
    suites.check_zoo(record)


@absent
@pytest.mark.parametrize("record", NAMED, ids=[r["file"].removesuffix(".onnx") for r in NAMED])
def test_recognizes_recurrent_state(record):
    expected = {s["input_name"]: s["output_name"] for s in record["state"]}
    assert efferent.Policy(suites.ZOO / record["file"]).state == expected
