"""Learning from a policy that was trained elsewhere, and giving it back: against sessions, torch's autograd and
onnxruntime."""
from pathlib import Path

import efferent
import numpy as np
import onnx
import onnxruntime
import pytest
from efferent._library import lib
from efferent._table import LOG_FUNCTION
from efferent.learner import Learner
from onnx import TensorProto, helper, numpy_helper
from suites import POLICIES

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "policies"
CHEETAH = EXAMPLES / "half_cheetah.onnx"
OWN = sorted(EXAMPLES.glob("*.onnx"))
OTHERS = sorted(Path(POLICIES).glob("**/*.onnx")) if POLICIES else []


def array(name, *shape):
    """Numbers that follow from name and shape."""
    rng = np.random.default_rng([*name.encode(), *shape])
    return numpy_helper.from_array((rng.standard_normal(shape) * 0.5).astype(np.float32), name)


def number(name, value):
    return numpy_helper.from_array(np.float32(value), name)


def model(nodes, weights, outputs, inputs=(("obs", (1, 5)),), opset=18):
    made = [(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)) for name, shape in inputs]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs]
    graph = helper.make_graph([helper.make_node(op, i, [o] if isinstance(o, str) else o, name=f"n{k}", **a)
                               for k, (op, i, o, a) in enumerate(nodes)], "t", made, results, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def squashed():
    """Normalizer, LayerNorm, two heads, and an action that is 2 tanh(mean) + 0.5."""
    return model(
        [("Sub", ["obs", "center"], "a", {}), ("Div", ["a", "width"], "b", {}),
         ("Gemm", ["b", "w1", "b1"], "c", {"transB": 1}),
         ("LayerNormalization", ["c", "gain", "shift"], "d", {}), ("Elu", ["d"], "e", {}),
         ("MatMul", ["e", "w2"], "f", {}), ("Add", ["f", "b2"], "mu", {}),
         ("Gemm", ["e", "w3", "b3"], "log_std", {"transB": 1}), ("Tanh", ["mu"], "g", {}),
         ("Mul", ["g", "two"], "h", {}), ("Add", ["h", "half"], "action", {})],
        [array("center", 5), numpy_helper.from_array(np.linspace(0.5, 2, 5).astype(np.float32), "width"),
         array("w1", 8, 5), array("b1", 8), array("gain", 8),
         array("shift", 8), array("w2", 8, 3), array("b2", 3), array("w3", 3, 8), array("b3", 3), number("two", 2),
         number("half", 0.5)],
        [("action", (1, 3)), ("log_std", (1, 3))])


def recurrent():
    return model(
        [("Unsqueeze", ["obs", "zero"], "x", {}),
         ("LSTM", ["x", "w", "r", "", "", "h_in", "c_in"], ["y", "h_out", "c_out"], {"hidden_size": 6}),
         ("Squeeze", ["h_out", "zero"], "h", {}), ("Gemm", ["h", "w2", "b2"], "action", {"transB": 1})],
        [numpy_helper.from_array(np.array([0]), "zero"), array("w", 1, 24, 5), array("r", 1, 24, 6), array("w2", 2, 6),
         array("b2", 2)],
        [("action", (1, 2)), ("h_out", (1, 1, 6)), ("c_out", (1, 1, 6))],
        [("obs", (1, 5)), ("h_in", (1, 1, 6)), ("c_in", (1, 1, 6))])


def drive(learner, steps, seed=0, end=17):
    """A reproducible world; the actions that were taken."""
    rng = np.random.default_rng(seed)
    actions, seen = [], rng.standard_normal(learner.observations)
    for k in range(1, steps + 1):
        actions.append(learner.act(seen))
        seen = rng.standard_normal(learner.observations)
        learner.update(seen, rng.standard_normal(), terminated=k % end == 0)
    return np.array(actions)


def weights(learner):
    return {name: learner[name] for name in learner.shapes if name.startswith("actor.w")}


def of_session(policy, observations):
    """The policy's actions for observations that are given one after the other."""
    session, first = policy.session(), next(o for o in policy.outputs if o.role == "action")
    actions = []
    for x in observations:
        feed, at = {}, 0
        for tensor in policy.inputs:
            if tensor.role == "observation":
                count = int(np.prod(tensor.shape))
                feed[tensor.name] = np.asarray(x[at : at + count], tensor.dtype).reshape((1, *tensor.shape))
                at += count
        actions.append(np.ravel(session.run(feed)[first.name]).astype(np.float64))
    return np.array(actions)


def session_actions(session, observations):
    """First outputs, from a cleared state."""
    session.reset()
    return [np.ravel(next(iter(session.run({session.policy.inputs[0].name: x.reshape(1, -1)}).values()))).copy()
            for x in observations]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("source", [*OWN, squashed, recurrent, *OTHERS],
                         ids=lambda s: s.__name__ if callable(s) else s.stem)
def test_the_learner_acts_as_the_session_of_its_policy(source, dtype):
    policy = efferent.Policy(source() if callable(source) else source, learnable=True)
    try:
        learner = Learner(policy=policy, dtype=dtype)
    except efferent.UnsupportedError as error:
        assert "RandomNormalLike" in str(error)
        return
    for x in np.random.default_rng(1).standard_normal((10, learner.observations)).astype(np.float32):
        expected = of_session(policy, [x])[0]
        found = np.atleast_1d(learner.infer(x))
        assert np.abs(found - expected).max() <= (2e-6 if source in OTHERS else 1e-6) * (1 + np.abs(expected).max())


def test_recurrent_state_is_carried_through_an_episode_and_cleared_after_it():
    policy = efferent.Policy(recurrent(), learnable=True)
    learner = Learner(policy=policy, std_source="constant", initial_std=1e-6, critic_warmup_steps=1000)
    seen = np.random.default_rng(3).standard_normal((8, 5)).astype(np.float32)
    for _ in range(2):
        actions = []
        for k in range(7):
            actions.append(learner.act(seen[k]))
            learner.update(seen[k + 1], 0.0, terminated=k == 6)
        assert np.abs(np.array(actions) - of_session(policy, seen[:7])).max() < 1e-5


@pytest.mark.parametrize("options",
                         [{}, {"std_source": "parameter", "initial_std": 0.3}, {"learn": "last", "learn_layers": 1}],
                         ids=str)
@pytest.mark.parametrize("make", [squashed, CHEETAH.read_bytes], ids=["squashed", "cheetah"])
def test_the_trace_of_one_update_is_the_gradient_of_autograd(make, options):
    torch = pytest.importorskip("torch")
    data = make()
    learner = Learner(policy=data, dtype="f64", seed=2, critic_warmup_steps=0, kappa_policy=1e12, entropy=0.0,
                      **options)
    stored = {t.name: torch.tensor(numpy_helper.to_array(t).astype(np.float64), requires_grad=True)
              for t in onnx.load_from_string(data).graph.initializer}
    rng = np.random.default_rng(4)
    first, second = rng.standard_normal((2, learner.observations)) * 0.2
    x = torch.tensor(first)
    if make is squashed:
        y = (x - stored["center"]) / stored["width"]
        h = torch.nn.functional.elu(torch.nn.functional.layer_norm(y @ stored["w1"].T + stored["b1"], (8,),
                                                                   stored["gain"], stored["shift"]))
        mean, log_std = h @ stored["w2"] + stored["b2"], h @ stored["w3"].T + stored["b3"]
    else:
        h = torch.clamp((x - stored["mean"]) / stored["deviation"], -10, 10)
        for k in (0, 2):
            h = torch.relu(h @ stored[f"network.{k}.weight"].T + stored[f"network.{k}.bias"])
        mean = h @ stored["network.4.weight"].T + stored["network.4.bias"]
        log_std = torch.full((6,), np.log(0.03), dtype=torch.float64)
    if "std_source" in options:
        log_std = stored["log_std"] = torch.full(mean.shape, np.log(0.3), dtype=torch.float64, requires_grad=True)
    action = learner.act(first)
    if make is squashed:
        u = torch.tensor(np.arctanh((action - 0.5) / 2))
        jacobian = torch.log(1 - torch.tanh(u) ** 2).sum()
    else:
        # a clip hides the sample
        assert (np.abs(action) < 1).all()
        u, jacobian = torch.tensor(action), 0
    density = torch.distributions.Normal(mean, log_std.exp()).log_prob(u).sum() - jacobian
    (-density).backward()
    learner.update(second, 1.0)
    traces = {name.removeprefix("actor.e."): learner[name] for name in learner.shapes if name.startswith("actor.e.")}
    assert set(traces) <= set(stored) and traces
    for name, trace in traces.items():
        expected = stored[name].grad.numpy()
        assert np.abs(trace - expected).max() <= 1e-6 * (1 + np.abs(expected).max()), name


def onnxruntime_of(path, observations):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    shape = [d if isinstance(d, int) else 1 for d in port.shape]
    return np.array([np.ravel(session.run(None, {port.name: x.astype(np.float32).reshape(shape)})[0])
                     for x in observations])


LOADED = [{}, {"learn": "last", "learn_layers": 2}, {"learn": "residual"}, {"normalizer_count": 1000},
          {"learn": "residual", "normalizer_count": 1000, "hidden": [7, 9]},
          {"std_source": "parameter", "initial_std": 0.2}, {"frozen": ["network.0", "w1"]},
          {"optimizer": "intentional"}, {"optimizer": "adaptive-obgd", "dtype": "f64"}]


@pytest.mark.parametrize("options", LOADED, ids=str)
@pytest.mark.parametrize("make", [CHEETAH.read_bytes, squashed], ids=["cheetah", "squashed"])
def test_what_was_learned_is_exported_and_runs_the_same_elsewhere(make, options, tmp_path):
    learner = Learner(policy=make(), seed=1, critic_warmup_steps=5, kappa_policy=3.0, **options)
    before = weights(learner)
    drive(learner, 60)
    assert any(not np.array_equal(before[name], value) for name, value in weights(learner).items())
    learner.export(tmp_path / "a.onnx")
    onnx.checker.check_model(str(tmp_path / "a.onnx"), full_check=True)
    seen = np.random.default_rng(2).standard_normal((20, learner.observations)).astype(np.float32)
    expected = np.array([learner.infer(x) for x in seen])
    assert np.abs(onnxruntime_of(tmp_path / "a.onnx", seen) - expected).max() < 1e-5
    assert np.abs(of_session(learner.policy(), seen) - expected).max() < 1e-5


@pytest.mark.parametrize("activation", ["leaky_relu", "relu", "tanh", "elu", "swish", "identity"])
@pytest.mark.parametrize("algorithm, actions",
                         [("stream-ac", 3), ("stream-ac-discrete", 4), ("stream-q", 3), ("stream-sarsa", 2),
                          ("stream-td", 0)])
def test_described_networks_are_exported(algorithm, actions, activation, tmp_path):
    learner = Learner(5, actions, algorithm=algorithm, activation=activation, hidden=[16, 24], sparsity=0.0,
                      std_floor=0.1, std_ceiling=2.0, seed=3)
    drive(learner, 60)
    learner.export(tmp_path / "a.onnx")
    onnx.checker.check_model(str(tmp_path / "a.onnx"), full_check=True)
    seen = np.random.default_rng(2).standard_normal((30, 5)).astype(np.float32)
    expected = np.array([np.atleast_1d(learner.infer(x)) for x in seen])
    assert len(np.unique(expected)) > 1 or algorithm == "stream-sarsa"
    assert np.abs(onnxruntime_of(tmp_path / "a.onnx", seen) - expected).max() < 1e-5
    assert np.abs(of_session(learner.policy(), seen) - expected).max() < 1e-5


def test_a_session_swaps_to_what_was_learned():
    policy = efferent.Policy(CHEETAH, learnable=True)
    learner, session, x = Learner(policy=policy, critic_warmup_steps=5,
                                  kappa_policy=3.0), policy.session(), np.full(17, 0.3)
    before = session.step(x)
    drive(learner, 60)
    session.swap(learner.policy())
    after = session.step(x)
    assert np.abs(after - learner.infer(x)).max() < 1e-5 and np.abs(after - before).max() > 1e-4


@pytest.mark.parametrize("make, options", [
    (squashed, {}), (squashed, {"dtype": "f64"}), (squashed, {"learn": "last"}), (squashed, {"learn": "residual"}),
    (squashed, {"normalizer_count": 100}),
    (recurrent, {}), (CHEETAH.read_bytes, {}), (CHEETAH.read_bytes, {"learn": "residual"}),
    (CHEETAH.read_bytes, {"normalizer_count": 100}), (None, {}), (None, {"algorithm": "stream-q"}),
])
def test_what_is_published_runs_in_the_session(make, options):
    if make is None:
        learner = Learner(5, 3, **options)
    else:
        learner = Learner(policy=make(), critic_warmup_steps=0, kappa_policy=3.0, **options)
    session = learner.policy().session()
    publisher = learner.publisher(session)
    x = np.random.default_rng(1).standard_normal((20, learner.observations)).astype(np.float32)
    for seed in range(3):
        drive(learner, 50, seed=seed)
        publisher.publish()
        fresh = learner.policy().session()
        for session_action, fresh_action in zip(session_actions(session, x), session_actions(fresh, x)):
            assert np.array_equal(session_action, fresh_action)
    with pytest.raises(efferent.StateError, match="learner publishes"):
        session.swap(learner.policy())
    publisher.close()
    session.swap(learner.policy())


def test_weights_of_less_precision_are_not_published_to():
    policy = efferent.Policy(CHEETAH, learnable=True, weights="bf16")
    learner = Learner(policy=policy)
    with pytest.raises(efferent.UnsupportedError, match="less precision"):
        learner.publisher(policy.session())


def test_what_was_learned_can_be_learned_from_again():
    first = Learner(policy=CHEETAH, critic_warmup_steps=5, kappa_policy=3.0)
    drive(first, 30)
    second = Learner(policy=first.policy())
    assert all(np.array_equal(value, weights(second)[name]) for name, value in weights(first).items())


@pytest.mark.parametrize("make, options", [
    (squashed, {}), (squashed, {"optimizer": "intentional"}), (squashed, {"learn": "residual", "snapshots": 2}),
    (recurrent, {}),
    (recurrent, {"std_source": "parameter", "change_limit": 0.1, "change_period": 1, "change_observations": 3}),
])
def test_a_checkpoint_continues_bit_for_bit(make, options):
    first, second = (Learner(policy=make(), seed=s, critic_warmup_steps=5, kappa_policy=3.0, **options) for s in (1, 2))
    drive(first, 40)
    second.restore_bytes(bytes(first))
    assert np.array_equal(drive(first, 60, seed=9), drive(second, 60, seed=9)) and bytes(first) == bytes(second)


def test_a_checkpoint_of_another_policy_is_refused():
    first = Learner(policy=squashed())
    for other in (Learner(policy=CHEETAH), Learner(policy=squashed(), frozen=["w1"]), Learner(5, 3)):
        with pytest.raises(efferent.MismatchError):
            other.restore_bytes(bytes(first))


def test_the_critic_warms_up_before_the_actor_learns():
    learner = Learner(policy=squashed(), critic_warmup_steps=50, kappa_policy=3.0)
    before, critic = weights(learner), learner["critic.w.out.weight"]
    drive(learner, 50)
    assert all(np.array_equal(before[name], value) for name, value in weights(learner).items())
    assert not np.array_equal(critic, learner["critic.w.out.weight"])
    drive(learner, 2)
    assert any(not np.array_equal(before[name], value) for name, value in weights(learner).items())


def test_a_residual_starts_as_nothing_and_stays_within_its_bound():
    data = squashed()
    learner = Learner(policy=data, learn="residual", residual_bound=0.2, critic_warmup_steps=0, kappa_policy=0.01,
                      hidden=[8, 8])
    seen = np.random.default_rng(2).standard_normal((20, 5)).astype(np.float32)
    base = of_session(efferent.Policy(data), seen)
    assert np.abs(np.array([learner.infer(x) for x in seen]) - base).max() < 1e-6
    assert all(name.startswith("actor.w.residual.") for name in weights(learner))
    drive(learner, 300)
    inner = [np.arctanh((a - 0.5) / 2) for a in (np.array([learner.infer(x) for x in seen]), base)]
    assert 0.1 < np.abs(inner[0] - inner[1]).max() <= 0.2 + 1e-4


@pytest.mark.parametrize("options, names", [
    ({}, {"w1", "b1", "gain", "shift", "w2", "b2", "w3", "b3"}),
    ({"learn": "last", "learn_layers": 1}, {"w2", "b2", "w3", "b3"}),
    ({"frozen": ["w"]}, {"b1", "gain", "shift", "b2", "b3"}),
    ({"std_source": "constant"}, {"w1", "b1", "gain", "shift", "w2", "b2"}),
    ({"std_source": "parameter"}, {"w1", "b1", "gain", "shift", "w2", "b2", "log_std"}),
    ({"mean": "log_std", "std_source": "constant"}, {"w1", "b1", "gain", "shift", "w3", "b3"}),
])
def test_which_weights_learn(options, names):
    assert {name.removeprefix("actor.w.") for name in weights(Learner(policy=squashed(), **options))} == names


def test_an_imported_normalizer_starts_as_the_policys_and_goes_on():
    data = squashed()
    learner = Learner(policy=data, normalizer_count=200)
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(data).graph.initializer}
    assert np.allclose(learner["obsnorm.mean"], stored["center"], atol=1e-7) and learner["obsnorm.count"][0] == 200
    assert np.allclose(np.sqrt(learner["obsnorm.m2"] / 199), stored["width"], rtol=1e-6)
    x = np.random.default_rng(1).standard_normal(5).astype(np.float32)
    assert np.abs(learner.infer(x) - of_session(efferent.Policy(data), [x])[0]).max() < 1e-6
    drive(learner, 30)
    assert learner["obsnorm.count"][0] > 220 and not np.allclose(learner["obsnorm.mean"], stored["center"], atol=1e-3)


@pytest.mark.parametrize("make", [squashed, CHEETAH.read_bytes], ids=["tanh", "clip"])
def test_an_action_that_was_done_as_asked_teaches_like_one_that_is_not_reported(make):
    learners = [Learner(policy=make(), seed=7, critic_warmup_steps=0, initial_std=0.8, kappa_policy=3.0)
                for _ in range(2)]
    rng = np.random.default_rng(0)
    seen = rng.standard_normal(learners[0].observations)
    for _ in range(20):
        actions = [learner.act(seen) for learner in learners]
        seen, reward = rng.standard_normal(seen.size), rng.standard_normal()
        learners[0].update(seen, reward)
        learners[1].update(seen, reward, action=actions[1])
    assert bytes(learners[0]) == bytes(learners[1])


def without_derivative():
    return model([("Gemm", ["obs", "w"], "a", {}), ("CumSum", ["a", "axis"], "b", {}), ("Tanh", ["b"], "action", {})],
                 [array("w", 5, 3), numpy_helper.from_array(np.array(1), "axis")], [("action", (1, 3))])


def drawn():
    """An action that is noise alone."""
    return model([("Gemm", ["obs", "w"], "a", {}), ("RandomNormalLike", ["a"], "action", {})], [array("w", 5, 3)],
                 [("action", (1, 3))])


@pytest.mark.parametrize("make, options, error, words", [
    (drawn, {}, efferent.UnsupportedError, "node 'n1' (RandomNormalLike): draws random numbers"),
    (without_derivative, {}, efferent.UnsupportedError, "node 'n1' (CumSum): has no derivative"),
    (squashed, {"mean": "nowhere"}, efferent.ArgumentError, "nowhere"),
    (squashed, {"std": "b1"}, efferent.ShapeError, "8 elements, expected 3"),
    (squashed, {"observations": 4}, efferent.MismatchError, "observes 5"),
    (squashed, {"frozen": [""]}, efferent.UnsupportedError, "no f32 weights"),
    (squashed, {"learn": "some"}, efferent.ArgumentError, "some"),
    (squashed, {"residual_bound": 0.0, "learn": "residual"}, efferent.ArgumentError, "residual_bound"),
    (recurrent, {"normalizer_count": 5}, efferent.UnsupportedError, "normalizer"),
    (squashed, {"algorithm": "stream-q"}, efferent.ArgumentError, "actor-critic"),
    (squashed, {"initial_std": -1.0}, efferent.ArgumentError, "initial_std"),
])
def test_what_cannot_be_is_refused_by_name(make, options, error, words):
    with pytest.raises(error, match=words.replace("(", r"\(").replace(")", r"\)")):
        Learner(policy=make(), **options)


def test_a_policy_that_did_not_keep_its_file_is_refused():
    with pytest.raises(efferent.StateError, match="learnable"):
        Learner(policy=efferent.Policy(CHEETAH))


def test_the_log_says_that_a_recurrent_policy_whose_cells_stay_learns_without_its_past():
    lines = []
    sink = LOG_FUNCTION(lambda user, level, text: lines.append(text.decode()))
    lib.eff_set_log(sink, None, 0)
    try:
        Learner(policy=recurrent(), cells="fixed")
    finally:
        lib.eff_set_log(LOG_FUNCTION(), None, 0)
    assert any("LSTM" in line and "do not learn" in line for line in lines)


def test_external_data_beside_a_relative_path_is_found_from_another_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    learner = Learner(policy="external.onnx", learn="last")
    observation = np.ones(7, np.float32)
    monkeypatch.chdir(tmp_path)
    learner.export("learned.onnx")
    np.testing.assert_array_equal(efferent.Policy("learned.onnx").session().step(observation),
                                  learner.policy().session().step(observation))


def test_the_quick_preset_has_the_numbers_that_its_documentation_gives():
    numbers = dict(optimizer="intentional", eta_policy=0.2, error_cap=1, beta_energy=0.99, initial_std=0.04, snapshots=8,
                   return_drop=0.1, fall_limit=1, steady_updates=0)
    learners = [Learner(policy=CHEETAH, seed=3, critic_warmup_steps=20, **options)
                for options in (dict(preset="adapted-quick"), numbers, {})]
    given, random = np.zeros(17), np.random.default_rng(1)
    for step in range(120):
        actions = [learner.act(given) for learner in learners]
        given = random.normal(size=17)
        for learner in learners:
            learner.update(given, float(given[0]), terminated=step % 15 == 14)
    np.testing.assert_array_equal(actions[0], actions[1])
    assert (actions[0] != actions[2]).any()


@pytest.mark.parametrize("option", ["kappa_policy", "kappa_value", "step_size"])
def test_the_quick_preset_refuses_what_its_rule_does_not_read(option):
    with pytest.raises(efferent.ArgumentError, match=f"'{option}' is of stream-x.*adapted-quick.*optimizer=.obgd"):
        Learner(policy=CHEETAH, preset="adapted-quick", **{option: 2.0})
    Learner(policy=CHEETAH, preset="adapted-quick", optimizer="obgd", **{option: 2.0})


def test_the_quick_preset_is_for_actors_from_files():
    with pytest.raises(efferent.ArgumentError, match="'adapted-quick' is for an actor-critic with a loaded policy"):
        Learner(17, 6, preset="adapted-quick")
    with pytest.raises(efferent.ArgumentError, match="'adapted-quick' is for an actor-critic with a loaded policy"):
        Learner(policy=CHEETAH, algorithm="stream-td", preset="adapted-quick")
