"""A row of a session does what a session of its own does, bit for bit, whatever the other rows do: also where it draws
random numbers."""
import efferent
import numpy as np
import pytest
from onnx import TensorProto, helper

F, D, L = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64
ROWS = 5


def drawing(op, shape=(1, 4), given=False, **attributes):
    """A policy whose action is drawn by one operator; `given`: the operator reads the observation."""
    nodes = [helper.make_node("Sigmoid" if op == "Bernoulli" else "Identity", ["obs"], ["x"])]
    nodes += [helper.make_node(op, ["x"] if given else [], ["drawn"], name="draw", **attributes),
              helper.make_node("Cast", ["drawn"], ["raw"], to=F)]
    nodes.append(helper.make_node("Add", ["raw", "zero"], ["action"]))
    zero = helper.make_tensor("zero", F, [], [0.0])
    out = [1, attributes["sample_size"]] if op == "Multinomial" else shape
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("obs", F, shape)],
                              [helper.make_tensor_value_info("action", F, out)], [zero])
    return efferent.Policy(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)],
                                             ir_version=10).SerializeToString())


def sampled():
    """A Gaussian policy with carried noise: the state of a row is a sum of what it has drawn."""
    nodes = [helper.make_node("RandomNormalLike", ["obs"], ["n"]), helper.make_node("Add", ["h_in", "n"], ["h_out"]),
             helper.make_node("RandomUniformLike", ["obs"], ["u"]),
             helper.make_node("Mul", ["h_out", "u"], ["m"]), helper.make_node("Add", ["m", "obs"], ["action"])]
    value = lambda name: helper.make_tensor_value_info(name, F, [1, 3])
    graph = helper.make_graph(nodes, "g", [value("obs"), value("h_in")], [value("action"), value("h_out")])
    return efferent.Policy(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)],
                                             ir_version=10).SerializeToString(), state={"h_in": "h_out"})


def branched():
    """Draws in one branch of an If only: a row that does not take it draws nothing."""
    info = lambda name: helper.make_tensor_value_info(name, F, [1, 3])
    then = helper.make_graph([helper.make_node("RandomNormalLike", ["obs"], ["drawn"])], "then", [], [info("drawn")])
    other = helper.make_graph([helper.make_node("Identity", ["obs"], ["same"])], "else", [], [info("same")])
    nodes = [helper.make_node("ReduceSum", ["obs"], ["sum"], keepdims=0),
             helper.make_node("Greater", ["sum", "zero"], ["takes"]),
             helper.make_node("If", ["takes"], ["action"], then_branch=then, else_branch=other)]
    graph = helper.make_graph(nodes, "g", [info("obs")], [info("action")], [helper.make_tensor("zero", F, [], [0.0])])
    return efferent.Policy(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)],
                                             ir_version=10).SerializeToString())


POLICIES = {
    "RandomNormal": lambda: drawing_plain("RandomNormal", mean=1.0, scale=0.5),
    "RandomUniform": lambda: drawing_plain("RandomUniform", low=-1.0, high=2.0),
    "RandomNormalLike": lambda: drawing("RandomNormalLike", given=True),
    "RandomNormalLike f64": lambda: drawing("RandomNormalLike", given=True, dtype=D),
    "RandomUniformLike": lambda: drawing("RandomUniformLike", given=True),
    "Bernoulli": lambda: drawing("Bernoulli", given=True),
    "Multinomial": lambda: drawing("Multinomial", given=True, sample_size=6, dtype=L),
    "carried": sampled,
    "in a branch": branched,
}


def drawing_plain(op, **attributes):
    node = helper.make_node(op, [], ["n"], shape=[1, 4], **attributes)
    nodes = [node, helper.make_node("Add", ["n", "obs"], ["action"])]
    value = lambda name: helper.make_tensor_value_info(name, F, [1, 4])
    graph = helper.make_graph(nodes, "g", [value("obs")], [value("action")])
    return efferent.Policy(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)],
                                             ir_version=10).SerializeToString())


def observations(policy, steps, seed=3):
    return np.random.default_rng(seed).normal(size=(steps, ROWS, *policy.inputs[0].shape)).astype(np.float32)


@pytest.mark.parametrize("name", POLICIES)
def test_a_row_draws_what_it_draws_alone(name):
    policy = POLICIES[name]()
    together = policy.session(ROWS, seed=7)
    alone = [policy.session(1, seed=7, first_row=r) for r in range(ROWS)]
    drawn = set()
    for step, (obs, rows) in enumerate(zip(observations(policy, 12), [5, 5, 3, 1, 5, 2, 4, 5, 1, 1, 5, 5])):
        if step == 4:
            together.prewarm()
        if step == 6:
            together.reset(1), alone[1].reset(0)
        if step == 9:
            together.reset(), [s.reset() for s in alone]
        got = together.step(obs[:rows])
        for r in range(rows):
            want = alone[r].step(obs[r])
            assert got[r].tobytes() == want.tobytes(), f"step {step}, row {r}: {got[r]}, alone {want}"
            drawn.add((got[r] - 0).tobytes())
    assert len(drawn) > 12 or name == "Bernoulli"  # rows differ from each other, and steps too


@pytest.mark.parametrize("name", POLICIES)
def test_a_reset_begins_the_stream_of_its_row_anew(name):
    policy = POLICIES[name]()
    s = policy.session(ROWS, seed=1)
    obs = observations(policy, 4)
    first = [s.step(o) for o in obs]
    s.reset(2)
    again = [s.step(o) for o in obs]
    for a, b in zip(first, again):
        assert a[2].tobytes() == b[2].tobytes()
    if name != "Bernoulli":
        assert any(a[1].tobytes() != b[1].tobytes() for a, b in zip(first, again))
    s.reset()
    assert all(a.tobytes() == s.step(o).tobytes() for a, o in zip(first, obs))


def test_seeds_and_rows_have_streams_of_their_own():
    policy = POLICIES["RandomNormalLike"]()
    obs = np.zeros((1, 4), np.float32)
    seen = {policy.session(1, seed=s, first_row=r).step(obs).tobytes() for s in range(30) for r in range(30)}
    assert len(seen) == 900


def test_random_numbers_of_many_rows_have_the_right_moments():
    policy = POLICIES["RandomNormalLike"]()
    s = policy.session(2000, seed=5)
    x = np.concatenate([s.step(np.zeros((2000, 1, 4), np.float32)) for _ in range(10)]).reshape(10, 2000, 4)
    assert abs(x.mean()) < 0.02 and abs(x.std() - 1) < 0.02
    rows = x.transpose(1, 0, 2).reshape(2000, 40)
    neighbours = (rows[1:] * rows[:-1]).mean()
    assert abs(neighbours) < 0.02


@pytest.mark.parametrize("name", ["mlp.onnx", "lstm.onnx"])
def test_rows_of_models_are_bit_identical_to_stepping_them_alone(folder, name):
    policy = efferent.Policy(folder / name)
    together = policy.session(ROWS)
    alone = [policy.session() for _ in range(ROWS)]
    for obs, rows in zip(observations(policy, 6), [5, 2, 5, 1, 4, 5]):
        got = together.step(obs[:rows])
        for r in range(rows):
            assert got[r].tobytes() == alone[r].step(obs[r]).tobytes()
