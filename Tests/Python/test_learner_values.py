"""Learning from values that were trained elsewhere: Q networks, value networks, critics beside an actor, and fresh
layers on frozen features. Against onnxruntime, and traces of a PyTorch transcription (Golden/make_loaded_values.py)."""
from pathlib import Path

import efferent
import numpy as np
import onnx
import onnxruntime
import pytest
import suites
from efferent._library import lib
from efferent._table import LOG_FUNCTION
from efferent.learner import Learner
from onnx import helper, numpy_helper
from test_learner_policy import array, drive, model, recurrent

GOLDEN = np.load(Path(__file__).resolve().parents[1] / "Golden" / "loaded_values.npz")
ALGORITHM = dict(dtype="f64", gamma=0.97, lambda_=0.7, kappa_value=4.0, kappa_policy=30.0)
ZOO = sorted(p for word in ("dqn", "c51", "cql") for p in suites.ZOO.glob(f"*{word}*.onnx")) if suites.ZOO else []


def golden(name, count):
    """Initializers p0, p1, ... as f32: weights are held exactly."""
    return [numpy_helper.from_array(GOLDEN[f"{name}.first.{i}"].astype(np.float32), f"{name}{i}") for i in range(count)]


def dueling(hides=False):
    nodes = [
        ("Gemm", ["obs", "dueling0", "dueling1"], "a", {"transB": 1}), ("Relu", ["a"], "b", {}),
        ("Gemm", ["b", "dueling2", "dueling3"], "c", {"transB": 1}), ("Tanh", ["c"], "d", {}),
        ("Gemm", ["d", "dueling4", "dueling5"], "v", {"transB": 1}),
        ("Gemm", ["d", "dueling6", "dueling7"], "adv", {"transB": 1}),
        ("ReduceMean", ["adv"], "m", {"keepdims": 1, "axes": [1]}), ("Sub", ["adv", "m"], "z", {}),
        ("Add", ["v", "z"], "q", {})]
    if not hides:
        return model(nodes, golden("dueling", 8), [("q", (1, 3))], opset=13)
    return greedy(nodes, golden("dueling", 8), "q", opset=13)


def greedy(nodes, weights, values, opset=18):
    """A network that gives the index of the best choice alone."""
    whole = onnx.load_from_string(model([*nodes, ("ArgMax", [values], "action", {"axis": 1, "keepdims": 0})], weights,
                                        [("action", (1,))], opset=opset))
    whole.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    return whole.SerializeToString()


def categorical():
    nodes = [("Gemm", ["obs", "categorical0", "categorical1"], "a", {"transB": 1}), ("Relu", ["a"], "b", {}),
             ("Gemm", ["b", "categorical2", "categorical3"], "c", {"transB": 1}),
             ("Reshape", ["c", "shape"], "logits", {}),
             ("Softmax", ["logits"], "p", {"axis": 2}), ("Mul", ["p", "atoms"], "pz", {}),
             ("ReduceSum", ["pz", "axes"], "expected", {"keepdims": 0})]
    return greedy(nodes, [*golden("categorical", 4), numpy_helper.from_array(np.array([1, 3, 11]), "shape"),
                          numpy_helper.from_array(np.linspace(-5, 5, 11).astype(np.float32), "atoms"),
                          numpy_helper.from_array(np.array([2]), "axes")], "expected")


def replay(learner, name, check):
    """Drives the learner through a golden trace; `check` gets each update's telemetry and the trace's numbers."""
    x, ends = GOLDEN[f"{name}.x"], GOLDEN[f"{name}.ends"]
    actions, rewards, numbers = (GOLDEN[f"{name}.{k}"] for k in ("actions", "rewards", "numbers"))
    at = 0
    for k in range(len(ends)):
        learner.act(x[at])
        update = learner.update(x[at + 1], rewards[k], terminated=ends[k] == 1, truncated=ends[k] == 2,
                                action=actions[k])
        check(update, numbers[k], k)
        at += 2 if ends[k] else 1


def close(found, wanted, bound=1e-11):
    assert np.abs(np.asarray(found) - wanted).max() <= bound * (1 + np.abs(wanted).max())


# ---- against the transcription ----

@pytest.mark.parametrize("name, make", [("dueling", dueling), ("dueling", lambda: dueling(hides=True)),
                                        ("categorical", categorical)],
                         ids=["dueling", "dueling greedy", "categorical"])
@pytest.mark.parametrize("dtype, bound", [("f64", 1e-11), ("f32", 2e-5)])
def test_a_loaded_network_of_values_learns_as_watkins_q_lambda_does(name, make, dtype, bound):
    learner = Learner(policy=make(), algorithm="stream-q", **(ALGORITHM | {"dtype": dtype}))
    replay(learner, name, lambda u, n, k: close([u.value, u.next_value, u.td_error, u.critic.step_size], n, bound))
    for i in range(8 if name == "dueling" else 4):
        last = GOLDEN[f"{name}.last.{i}"]
        close(learner[f"critic.w.{name}{i}"].reshape(last.shape), last, bound)
        assert not np.array_equal(last, GOLDEN[f"{name}.first.{i}"])


def actor_nodes():
    return [("Gemm", ["obs", "actor0", "actor1"], "a", {"transB": 1}), ("Relu", ["a"], "b", {}),
            ("Gemm", ["b", "actor2", "actor3"], "action", {"transB": 1}),
            ("Gemm", ["b", "actor4", "actor5"], "log_std", {"transB": 1})]


def critic_nodes():
    return [("Gemm", ["obs", "critic0", "critic1"], "c", {"transB": 1}), ("Tanh", ["c"], "d", {}),
            ("Gemm", ["d", "critic2", "critic3"], "value", {"transB": 1})]


def two_files():
    return dict(policy=model(actor_nodes(), golden("actor", 6), [("action", (1, 2)), ("log_std", (1, 2))]),
                critic=model(critic_nodes(), golden("critic", 4), [("value", (1, 1))]))


def one_file(key=None):
    data = model(actor_nodes() + critic_nodes(), golden("actor", 6) + golden("critic", 4),
                 [("action", (1, 2)), ("log_std", (1, 2)), ("value", (1, 1))])
    if key is None:
        return dict(policy=data, value="value")
    whole = onnx.load_from_string(data)
    helper.set_model_props(whole, {key: "value"})
    return dict(policy=whole.SerializeToString())


@pytest.mark.parametrize("files", [two_files, one_file, lambda: one_file("efferent.value")],
                         ids=["two files", "one file", "by metadata"])
def test_a_loaded_critic_beside_a_loaded_actor_learns_as_ac_lambda_does(files):
    learner = Learner(**files(), **ALGORITHM)
    assert learner.algorithm == "stream-ac"
    replay(learner, "ac", lambda u, n, k: close(
        [u.value, u.next_value, u.td_error, u.critic.step_size, u.actor.step_size], n))
    for name, count in (("actor", 6), ("critic", 4)):
        for i in range(count):
            last = GOLDEN[f"{name}.last.{i}"]
            close(learner[f"{name}.w.{name}{i}"].reshape(last.shape), last)


# ---- against onnxruntime ----

def values_of(data, observation, name=None, **states):
    """All numbers of an output, or of a tensor inside the graph."""
    whole = onnx.load_from_string(data)
    if name is not None and name not in {o.name for o in whole.graph.output}:
        whole.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    shape = [d if isinstance(d, int) else 1 for d in port.shape]
    feed = {port.name: np.asarray(observation, np.float32).reshape(shape)} | states
    return np.ravel(session.run([name or session.get_outputs()[0].name], feed)[0])


def inner(path):
    """The tensor that an ArgMax at the end is of, or the only output."""
    nodes = [n for n in onnx.load(path).graph.node if n.op_type == "ArgMax"]
    return nodes[-1].input[0] if nodes else None


@pytest.mark.skipif(not ZOO, reason="no zoo here")
@pytest.mark.parametrize("path", ZOO, ids=lambda p: p.stem)
def test_exports_of_trainers_give_their_values_and_learn(path):
    learner = Learner(policy=path, algorithm="stream-q", critic_warmup_steps=0)
    x = np.random.default_rng(3).standard_normal((30, learner.observations)).astype(np.float32)
    data, name = path.read_bytes(), inner(path)
    before = {n: learner[n] for n in learner.shapes if ".w." in n}
    learner.freeze("critic")
    for s, s2 in zip(x[:-1], x[1:]):
        choice, q = int(learner.act(s)), values_of(data, s, name)
        assert int(learner.infer(s)) == int(np.argmax(q))
        update = learner.update(s2, 1.0)
        close(update.value, q[choice], 1e-5)
        close(update.next_value, values_of(data, s2, name).max(), 1e-5)
    learner.freeze()
    drive(learner, 30)
    assert all(not np.array_equal(learner[n], w) for n, w in before.items())


def test_the_algorithm_follows_from_an_output_called_q():
    assert Learner(policy=dueling()).algorithm == "stream-q"
    assert Learner(policy=dueling(hides=True)).algorithm == "stream-ac-discrete"


@pytest.mark.parametrize("make", [dueling, lambda: dueling(hides=True), categorical])
def test_the_exported_file_has_the_learned_values(make, tmp_path):
    learner = Learner(policy=make(), algorithm="stream-q", kappa_value=1.0)
    drive(learner, 80)
    learner.export(tmp_path / "q.onnx")
    data = (tmp_path / "q.onnx").read_bytes()
    name = inner(tmp_path / "q.onnx")
    assert not np.array_equal(values_of(data, np.ones(5), name), values_of(make(), np.ones(5), name))
    again = Learner(policy=data, algorithm="stream-q")
    for x in np.random.default_rng(1).standard_normal((20, 5)).astype(np.float32):
        assert learner.infer(x) == again.infer(x) == int(np.argmax(values_of(data, x, name)))


def remembering():
    """A recurrent critic of one number, h = tanh(w obs + r h), v = u h."""
    return model([("MatMul", ["obs", "w"], "a", {}), ("MatMul", ["h_in", "r"], "b", {}), ("Add", ["a", "b"], "c", {}),
                  ("Tanh", ["c"], "h_out", {}), ("MatMul", ["h_out", "u"], "value", {})],
                 [array("w", 5, 4), array("r", 4, 4), array("u", 4, 1)], [("value", (1, 1)), ("h_out", (1, 4))],
                 [("obs", (1, 5)), ("h_in", (1, 4))])


@pytest.mark.parametrize("options", [dict(algorithm="stream-td"), dict(actor=True)], ids=["td", "critic"])
def test_a_recurrent_value_network_carries_its_state(options):
    if options.pop("actor", None):
        learner = Learner(policy=two_files()["policy"], critic=remembering())
    else:
        learner = Learner(policy=remembering(), **options)
    learner.freeze("critic")
    seen = np.random.default_rng(5).standard_normal((9, 5)).astype(np.float32)
    for _ in range(2):
        h = np.zeros((1, 4), np.float32)
        for k in range(8):
            learner.act(seen[k])
            update = learner.update(seen[k + 1], 0.0, terminated=k == 7)
            close(update.value, values_of(remembering(), seen[k], "value", h_in=h), 1e-5)
            h = values_of(remembering(), seen[k], "h_out", h_in=h).reshape(1, 4)
            close(update.next_value, values_of(remembering(), seen[k + 1], "value", h_in=h), 1e-5)


# ---- frozen features ----

def test_a_fresh_linear_critic_learns_on_frozen_features():
    """TD(lambda) with ObGD of a linear function of what onnxruntime gives for the tensor, in numpy."""
    data = one_file()["policy"]
    learner = Learner(policy=data, features="b", no_reward_scaling=1, critic_warmup_steps=10**6, gamma=0.9,
                      lambda_=0.5, kappa_value=2.0, dtype="f64")
    assert [n for n in learner.shapes if n.startswith("critic.w")] == ["critic.w.out.weight", "critic.w.out.bias"]
    w, e, trace = np.zeros(8), np.zeros(8), []
    x = np.random.default_rng(8).standard_normal((50, 5)).astype(np.float32)
    for k in range(49):
        phi, phi2 = (np.append(values_of(data, x[i], "b"), 1.0).astype(np.float64) for i in (k, k + 1))
        reward, ended = np.sin(k), k % 20 == 19
        delta = reward + (0 if ended else 0.9 * w @ phi2) - w @ phi
        e = 0.9 * 0.5 * e + phi
        trace.append((w @ phi, delta))
        bound = max(abs(delta), 1) * np.abs(e).sum() * 2.0
        w = w + delta * e * (1 / bound if bound > 1 else 1)
        if ended:
            e[:] = 0
        learner.act(x[k])
        update = learner.update(x[k + 1], reward, terminated=ended)
        close([update.value, update.td_error], np.array(trace[-1]), 1e-5)
    close(np.append(learner["critic.w.out.weight"], learner["critic.w.out.bias"]), w, 1e-5)


@pytest.mark.parametrize("algorithm, actions", [("stream-q", 4), ("stream-sarsa", 2), ("stream-td", 0)])
def test_fresh_values_learn_on_frozen_features_of_a_policy(algorithm, actions, tmp_path):
    learner = Learner(policy=two_files()["policy"], algorithm=algorithm, actions=actions, features="b")
    drive(learner, 50)
    assert learner["critic.w.out.weight"].shape == (max(actions, 1), 7)
    assert np.abs(learner["critic.w.out.weight"]).max() > 0
    with pytest.raises(efferent.UnsupportedError, match="fresh layer on 'b'"):
        learner.export(tmp_path / "a.onnx")


def test_a_described_actor_may_have_a_loaded_critic():
    learner = Learner(5, 2, critic=two_files()["critic"])
    drive(learner, 20)
    assert {n for n in learner.shapes if n.startswith("critic.w")} == {f"critic.w.critic{i}" for i in range(4)}


# ---- what is said ----

def test_what_is_shared_is_copied_and_said():
    nodes = actor_nodes() + [("Gemm", ["b", "head", "bias"], "value", {"transB": 1})]
    data = model(nodes, [*golden("actor", 6), array("head", 1, 7), array("bias", 1)],
                 [("action", (1, 2)), ("log_std", (1, 2)), ("value", (1, 1))])
    said = []
    log = LOG_FUNCTION(lambda user, level, text: said.append(text.decode()))
    lib.eff_set_log(log, None, 0)
    try:
        learner = Learner(policy=data, value="value")
    finally:
        lib.eff_set_log(LOG_FUNCTION(), None, 0)
    assert any("actor and critic share 2 arrays" in text for text in said), said
    drive(learner, 30)
    assert not np.array_equal(learner["actor.w.actor0"], learner["critic.w.actor0"])


def wide():
    return model([("MatMul", ["obs", "w"], "value", {})], [array("w", 9, 1)], [("value", (1, 1))], [("obs", (1, 9))])


def of_two(*inputs):
    return model([("Concat", list(inputs), "x", {"axis": 1}), ("MatMul", ["x", "w"], "value", {})], [array("w", 5, 1)],
                 [("value", (1, 1))], [(n, (1, 2 if n == "a" else 3)) for n in inputs])


def actor_of_two():
    return model([("Concat", ["a", "b"], "x", {"axis": 1}), ("MatMul", ["x", "w"], "action", {})], [array("w", 5, 2)],
                 [("action", (1, 2))], [("a", (1, 2)), ("b", (1, 3))])


def test_of_several_observations_the_critic_has_the_same_in_the_same_order():
    Learner(policy=actor_of_two(), critic=of_two("a", "b"))
    for wrong in (of_two("b", "a"), two_files()["critic"]):
        with pytest.raises(efferent.MismatchError, match="but the actor 'a', 'b'"):
            Learner(policy=actor_of_two(), critic=wrong)


def probabilities():
    return model([("MatMul", ["obs", "w"], "a", {}), ("Softmax", ["a"], "action", {"axis": 1})], [array("w", 5, 3)],
                 [("action", (1, 3))])


def quantiles():
    return model([("MatMul", ["obs", "w"], "a", {}), ("Reshape", ["a", "s"], "q", {})],
                 [array("w", 5, 6), numpy_helper.from_array(np.array([1, 2, 3]), "s")], [("q", (1, 2, 3))])


REFUSED = [
    (lambda: dict(policy=two_files()["policy"], critic=wide()), "observes 9 numbers, but the actor 5"),
    (lambda: dict(policy=dueling(), critic=two_files()["critic"]), "'critic' stands beside an actor"),
    (lambda: dict(policy=probabilities(), algorithm="stream-q"), "'a'|are probabilities"),
    (lambda: dict(policy=quantiles(), algorithm="stream-q"), r"of the policy \('a'\) are \[1, 2, 3\], expected \[1, choices\]"),
    (lambda: dict(policy=two_files()["policy"], value="b"), r"'b', which is \[1, 7\], expected one number"),
    (lambda: dict(policy=two_files()["policy"], value="nothing"), "has no tensor of that name"),
    (lambda: dict(policy=two_files()["policy"], critic=two_files()["policy"]), "which tensor of the critic is the"),
    (lambda: dict(**two_files(), no_reward_scaling=0), "'no_reward_scaling' is 0, expected 1"),
    (lambda: dict(policy=two_files()["policy"], algorithm="stream-q", features="b"), "'action_count' is 0"),
    (lambda: dict(observations=5, actions=2, value="value"), "there is no file"),
]


@pytest.mark.parametrize("options, text", REFUSED, ids=[text for _, text in REFUSED])
def test_what_cannot_be_right_is_refused_by_name(options, text):
    with pytest.raises(efferent.Error, match=text):
        Learner(**options())


# ---- what goes on ----

FILES = [lambda: dict(policy=dueling()), lambda: two_files(), lambda: dict(policy=remembering(), algorithm="stream-td"),
         lambda: dict(policy=one_file()["policy"], features="b"),
         lambda: dict(policy=recurrent(), critic=two_files()["critic"])]


@pytest.mark.parametrize("optimizer", ["obgd", "intentional"])
@pytest.mark.parametrize("files", FILES, ids=["q", "critic", "recurrent", "features", "recurrent actor"])
def test_a_checkpoint_goes_on_bit_for_bit(files, optimizer):
    a = Learner(**files(), seed=3, snapshots=2, optimizer=optimizer)
    drive(a, 40)
    b = Learner(**files(), seed=4, snapshots=2, optimizer=optimizer)
    b.restore_bytes(bytes(a))
    drive(a, 40, seed=1), drive(b, 40, seed=1)
    assert bytes(a) == bytes(b)


def test_a_checkpoint_of_a_fresh_critic_is_not_that_of_a_loaded_one():
    loaded, fresh = Learner(**two_files()), Learner(policy=two_files()["policy"])
    with pytest.raises(efferent.MismatchError):
        fresh.restore_bytes(bytes(loaded))


def test_values_are_published_to_a_session():
    learner = Learner(policy=dueling(), kappa_value=1.0)
    session = learner.policy().session()
    publisher = learner.publisher(session)
    drive(learner, 30)
    publisher.publish()
    x = np.ones(5, np.float32)
    found = session.run({"obs": x.reshape(1, 5)})["q"]
    close(found, values_of(dueling(), x), 1) and close(found, learner.policy().session().run(x), 1e-6)
    assert int(np.argmax(found)) == learner.infer(x)


def test_what_a_convolution_learns_is_published_where_another_method_would_be_faster():
    """Winograd's weights are made of those that are learned, so a policy that learns does without."""
    rng = np.random.default_rng(5)
    weights = [numpy_helper.from_array((rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32), name)
               for name, shape in (("w", (64, 64, 3, 3)), ("b", (64,)), ("w2", (64 * 144, 3)))]
    nodes = [("Conv", ["obs", "w", "b"], "c", {"pads": [1, 1, 1, 1]}), ("Relu", ["c"], "r", {}),
             ("Flatten", ["r"], "f", {}), ("MatMul", ["f", "w2"], "q", {})]
    made = model(nodes, weights, [("q", (1, 3))], inputs=[("obs", (1, 64, 12, 12))])
    learner = Learner(policy=made, algorithm="stream-q", kappa_value=1)
    session = learner.policy().session()
    publisher = learner.publisher(session)
    x = rng.normal(size=(3, 64 * 144))
    for before, after in zip(x[:-1], x[1:]):
        learner.act(before)
        learner.update(after, 1.0)
    publisher.publish()
    learned = learner.policy().session()
    run = lambda s: s.run({"obs": x[:1].astype(np.float32).reshape(1, 64, 12, 12)})["q"]
    np.testing.assert_array_equal(run(session), run(learned))
    plain = efferent.Policy(made).session()
    assert np.abs(run(plain) - run(learned)).max() > 1e-3
    with pytest.raises(efferent.MismatchError, match="laid out for learning in one alone; load both as learnable"):
        learner.publisher(plain)
