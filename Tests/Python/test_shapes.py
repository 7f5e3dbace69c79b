"""Small versions of the nets that `policies.sh shapes` measures give what onnxruntime gives, for one row and three."""
import sys
from pathlib import Path

import efferent
import numpy as np
import onnxruntime
import pytest
from oracles import close

sys.path.insert(0, str(Path(__file__).parents[2] / "Tests/Benchmarks"))
import make_shapes  # noqa: E402

NETS = {
    "resnet18": lambda *to: make_shapes.resnet18(*to, size=32, folded=False, width=16),
    # every size of image meets another way to compute a convolution
    "resnet18_folded": lambda *to: make_shapes.resnet18(*to, size=90, folded=True, width=16, blocks=(1, 1, 1)),
    "unet1d": lambda *to: make_shapes.unet1d(*to, dims=(32, 64, 128), step=32, condition=10),
    "unet1d_long": lambda *to: make_shapes.unet1d(*to, dims=(8, 24), horizon=36, step=8, condition=3, groups=4),
    "act_decoder": lambda *to: make_shapes.act(*to, layers=2, width=32, heads=4, inner=80, queries=25, tokens=37),
    "mamba_step": lambda *to: make_shapes.mamba(*to, layers=2, width=32),
}
STEPS = 3


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    for name, write in NETS.items():
        write(folder, name, "batch")
    return folder


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", NETS)
def test_small_nets_of_other_shapes_step_as_in_onnxruntime(nets, name, rows):
    path = str(nets / f"{name}.onnx")
    oracle = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    session = efferent.Session(efferent.Policy(path), rows=rows)
    outputs = [o.name for o in oracle.get_outputs()]
    shapes = {i.name: [rows, *i.shape[1:]] for i in oracle.get_inputs()}
    state = {n: np.zeros(s, np.float32) for n, s in shapes.items() if n.endswith("_in")}
    random = np.random.default_rng(1)
    for _ in range(STEPS):
        given = {n: random.normal(size=s).astype(np.float32) for n, s in shapes.items() if n not in state}
        expected = dict(zip(outputs, oracle.run(outputs, {**given, **state})))
        got = session.run(given)
        assert set(outputs) == set(got)
        for output in outputs:
            close(np.asarray(got[output]), expected[output])
        state = {n: expected[n.removesuffix("in") + "out"] for n in state}


@pytest.mark.parametrize("name", NETS)
def test_a_row_of_these_nets_gives_the_same_bits_alone(nets, name):
    policy = efferent.Policy(str(nets / f"{name}.onnx"))
    many, random = efferent.Session(policy, rows=3), np.random.default_rng(2)
    alone = [efferent.Session(policy) for _ in range(3)]
    shapes = {p.name: (3, *p.shape[1:]) for p in policy.inputs if p.role != "state"}
    given = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    for _ in range(STEPS):
        got = {n: np.array(v) for n, v in many.run(given).items()}
        for row, session in enumerate(alone):
            for output, value in session.run({n: v[row : row + 1] for n, v in given.items()}).items():
                np.testing.assert_array_equal(np.asarray(value), got[output][row : row + 1])
