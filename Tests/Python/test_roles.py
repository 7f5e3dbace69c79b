"""What every input and output is for: told, by metadata, by one clear name, the only candidate; otherwise a step is
refused with the candidates."""
import json

import efferent
import models
import numpy as np
import pytest
from models import model
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from oracles import expected, policy_of
from test_package import command

N = helper.make_node


def outputs(names, size=4, types=None, **metadata):
    """obs -> (k + 1) obs for the k-th name, in the type asked for."""
    nodes, weights, made = [], {}, []
    for k, name in enumerate(names):
        kind = (types or {}).get(name, T.FLOAT)
        weights[f"w{k}"] = np.float32(k + 1)
        nodes.append(N("Mul", ["obs", f"w{k}"], [name if kind == T.FLOAT else f"f{k}"]))
        if kind != T.FLOAT:
            nodes.append(N("Cast", [f"f{k}"], [name], to=kind))
        made.append((name, kind, [1, size]))
    return model(nodes, [("obs", T.FLOAT, [1, size])], made, weights, **metadata)


# what exporters write -> the action
EXPORTERS = {
    "Stable-Baselines3": (["actions", "values", "log_prob"], "actions"),
    "Stable-Baselines3, features first": (["extracted_features", "mu"], "mu"),
    "rsl_rl": (["actions", "value", "std"], "actions"),
    "rsl_rl, value first": (["value", "actions"], "actions"),
    "skrl": (["value", "log_std", "mean_actions"], "mean_actions"),
    "rl_games": (["mu", "log_std", "value"], "mu"),
    "rl_games, value first": (["value", "mu"], "mu"),
    "rl_games, sigma": (["mu", "sigma", "neglogp", "value"], "mu"),
    "ML-Agents": (["version_number", "memory_size", "continuous_actions", "continuous_action_output_shape"],
                  "continuous_actions"),
    "CleanRL": (["logprob", "entropy", "value", "action"], "action"),
    "CleanRL SAC": (["action", "log_prob", "mean"], "action"),
    "d3rlpy": (["action", "logstd"], "action"),
    "Isaac Lab": (["contact", "action"], "action"),
    "brax": (["loc", "scale"], "loc"),
    "LeRobot": (["action", "attn"], "action"),
    "torchrl": (["loc", "scale", "sample_log_prob", "state_value", "action"], "action"),
    "torchrl Q": (["action_value", "chosen_action_value", "action"], "action"),
    "RLlib": (["vf_preds", "action_dist_inputs", "action_logp", "action_prob"], "action_dist_inputs"),
    "RLlib, new": (["embeddings", "action_dist_inputs"], "action_dist_inputs"),
    "Sample Factory": (["values", "rnn_states_out", "actions"], "actions"),
    "DQN": (["q_values"], "q_values"),
    "LEAPP": (["joint_pos_target", "raw_action", "stiffness", "damping"], "joint_pos_target"),
    "a value and a nameless output": (["value", "output"], "output"),
    "exploy": (["observation", "actions"], "actions"),
    "deterministic by name": (["continuous_actions", "deterministic_continuous_actions"],
                              "deterministic_continuous_actions"),
    "one nameless output": (["Identity:0"], "Identity:0"),
}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_the_action_of_each_exporter_is_what_moves_the_robot(exporter):
    names, action = EXPORTERS[exporter]
    for order in (names, names[::-1]):
        made = outputs(order)
        p = policy_of(made)
        assert p.action and p.action.name == action, p.info.step_refusal
        x = np.array([1, -2, 3, -4], np.float32)
        assert np.array_equal(p.session().step(x), x * (order.index(action) + 1))
        assert p.outputs[action].reason in ("by name", "only candidate") and p.info.step_refusal == ""


UNDECIDED = {
    "two of one kind": ["action_0", "action_1"],
    "discrete and continuous of ML-Agents": ["continuous_actions", "discrete_actions"],
    "nameless": ["jnp_tanh_out_0", "add_out_3"],
    "target and mean": ["mu", "joint_pos_target"],
    "logits and probabilities": ["logits", "probs"],
    "two critics": ["q1", "q2"],
}


@pytest.mark.parametrize("kind", UNDECIDED)
def test_what_is_not_clear_is_refused_with_the_candidates(kind):
    names = UNDECIDED[kind]
    made = outputs([*names, "value"])
    p = policy_of(made)
    assert p.action is None and [t.role for t in p.outputs] == ["aux"] * 3
    assert all(p.outputs[n].reason == "undecided" for n in names) and p.outputs["value"].reason == "never an action"
    s = p.session()
    with pytest.raises(efferent.StateError) as caught:
        s.step(np.zeros(4))
    for word in [f"'{n}'" for n in names] + ["action", "--action", "efferent.action"]:
        assert word in str(caught.value)
    assert "'value'" not in str(caught.value) and any("not decided" in n for n in p.notes)
    assert set(s.run({"obs": np.zeros(4)})) == {*names, "value"}
    for chosen in names:
        told = policy_of(made, action=chosen)
        assert told.action.name == chosen and told.action.reason == "told"
        assert np.array_equal(told.session().step(np.ones(4)), np.full(4, names.index(chosen) + 1, np.float32))
        with_metadata = outputs([*names, "value"], **{"efferent.action": chosen})
        filed = policy_of(with_metadata)
        assert filed.action.name == chosen and filed.action.reason == "by metadata"
        other = names[1 - names.index(chosen)]
        assert policy_of(with_metadata, action=other).action.name == other  # the caller comes first


@pytest.mark.parametrize("name", ["value", "log_prob", "std", "features", "contact", "critic", "entropy", "h_out"])
def test_a_name_that_is_never_an_action_is_none_even_alone(name):
    p = policy_of(outputs([name]))
    assert p.action is None
    with pytest.raises(efferent.StateError, match=f"no output can be the action: found '{name}'"):
        p.session().step(np.zeros(4))
    assert np.array_equal(policy_of(outputs([name]), action=name).session().step(np.ones(4)), np.ones(4))


def test_c_is_refused_where_nothing_is_decided():
    from efferent._library import lib

    p = policy_of(outputs(["logits", "probs"]))
    s = p.session()
    x, y = np.zeros(4, np.float32), np.full(4, 7, np.float32)
    assert lib.eff_session_step(s._handle.value, 1, x.ctypes.data, y.ctypes.data) == -2 and (y == 7).all()


def test_indices_are_an_action_that_step_of_c_does_not_write():
    from efferent._library import lib

    made = outputs(["logits", "action"], types={"action": T.INT64})
    p = policy_of(made)
    assert p.action.name == "action" and "i64" in p.info.step_refusal
    s = p.session()
    assert s.step(np.ones(4)).dtype == np.int64  # Python's step gives them as they are
    x = np.zeros(4, np.float32)
    assert lib.eff_session_step(s._handle.value, 1, x.ctypes.data, x.ctypes.data) == -2
    assert np.array_equal(policy_of(made, action="logits").session().step(np.ones(4)), np.ones(4))


def gaussian(names, behind=(), mean_behind=None, noise="RandomNormalLike"):
    """mean + 0.5 noise, then the ops of `behind`; and the mean, behind the ops of `mean_behind`."""
    sampled, calm = names
    nodes = [N("Mul", ["obs", "two"], ["m"]), N(noise, ["m"], ["e"]), N("Mul", ["e", "half"], ["d"]),
             N("Add", ["m", "d"], ["s"])]

    def chain(x, ops, name):
        for k, op in enumerate(ops):
            nodes.append(N(op, [x], [f"{name}{k}"]))
            x = f"{name}{k}"
        nodes.append(N("Identity", [x], [name]))

    chain("s", behind, sampled)
    chain("m", behind if mean_behind is None else mean_behind, calm)
    return model(nodes, [("obs", T.FLOAT, [1, 3])], [(n, T.FLOAT, [1, 3]) for n in names],
                 {"two": np.float32(2), "half": np.float32(0.5)})


@pytest.mark.parametrize("names",
                         [("action", "mean"), ("continuous_actions", "deterministic_continuous_actions"),
                          ("actions", "mu"), ("sample_action", "action"),
                                   ("action_0", "action_1")])
@pytest.mark.parametrize("behind", [(), ("Tanh",), ("Tanh", "Neg")])
def test_of_a_sampled_and_a_deterministic_action_it_is_the_latter(names, behind):
    p = policy_of(gaussian(names, behind))
    assert p.action and p.action.name == names[1], p.info.step_refusal
    x = np.array([0.1, 0.2, -0.3], np.float32)
    want = 2 * x
    for op in behind:
        want = np.tanh(want) if op == "Tanh" else -want
    assert np.allclose(p.session().step(x), want, atol=1e-6)


def test_a_mean_that_is_not_squashed_like_the_sampled_action_is_not_taken_for_it():
    p = policy_of(gaussian(("action", "mean"), ("Tanh",), ()))
    assert p.action is None and "'action'" in p.info.step_refusal and "'mean'" in p.info.step_refusal
    p = policy_of(gaussian(("action", "value"), ("Tanh",)))
    assert p.action.name == "action"  # sampled, and the only one


def test_an_output_of_another_type_is_not_the_sampled_action_without_its_noise():
    made = gaussian(("action", "mean"))
    made.graph.node[-1].CopyFrom(N("Cast", ["m"], ["mean"], to=T.DOUBLE))
    made.graph.output[1].type.tensor_type.elem_type = T.DOUBLE
    p = policy_of(made)
    assert p.action and p.action.name == "action", p.info.step_refusal


def test_constants_and_inputs_that_are_passed_on_are_no_action():
    nodes = [N("Tanh", ["obs"], ["y"]), N("Identity", ["obs"], ["x"]),
             N("Constant", [], ["k"], value=numpy_helper.from_array(np.ones((1, 4), np.float32)))]
    p = policy_of(model(nodes, [("obs", T.FLOAT, [1, 4])], [(n, T.FLOAT, [1, 4]) for n in ("k", "x", "y")]))
    assert p.action.name == "y" and p.outputs["k"].reason == p.outputs["x"].reason == "constant or input"


# ---- the observation ----


def two_inputs(**metadata):
    return model([N("Add", ["obs", "command"], ["action"])], [("obs", T.FLOAT, [1, 3]), ("command", T.FLOAT, [1, 3])],
                 [("action", T.FLOAT, [1, 3])], **metadata)


def test_an_observation_among_several_is_told_and_the_others_keep_their_values():
    p = policy_of(two_inputs())
    assert [t.role for t in p.inputs] == ["observation"] * 2
    with pytest.raises(efferent.StateError, match="'obs' .*'command'.*observation"):
        p.session().step(np.zeros(3))
    for p in (policy_of(two_inputs(), observation="obs"), policy_of(two_inputs(**{"efferent.observation": "obs"}))):
        assert [t.role for t in p.inputs] == ["observation", "aux"]
        s = p.session()
        s.input("command")[...] = 5
        for x in (1.0, 2.0):
            assert np.array_equal(s.step(np.full(3, x)), np.full(3, x + 5, np.float32))


@pytest.mark.parametrize("key,value",
                         [("action", "nothing"), ("observation", "nothing"), ("action", "obs"),
                          ("observation", "action")])
def test_names_that_do_not_exist_are_refused_with_those_that_do(key, value):
    there = "'action'" if key == "action" else "'obs', 'command'"
    with pytest.raises(efferent.ArgumentError, match=f"{key} '{value}' names no (input|output).*{there}"):
        policy_of(two_inputs(), **{key: value})
    with pytest.raises(efferent.ArgumentError, match=f"{key} '{value}' names no"):
        policy_of(two_inputs(**{f"efferent.{key}": value}))


# ---- state ----


def rnn(pairs, seen=("obs",), done="action", extra=(), **metadata):
    """next = tanh(state + 1); action = the sum of everything."""
    nodes, terms = [], list(seen)
    for i, o in pairs:
        nodes += [N("Add", [i, "one"], [f"{i}+"]), N("Tanh", [f"{i}+"], [o])]
        terms.append(i)
    nodes.append(N("Sum", terms, [done]))
    form = lambda n: (n, T.FLOAT, [1, 4])  # noqa: E731
    return model(nodes, [form(n) for n in [*seen, *[i for i, _ in pairs], *extra]],
                 [form(done), *[form(o) for _, o in pairs]], {"one": np.float32(1)}, **metadata)


def follows(made, pairs, policy):
    """Five steps against onnxruntime with the state carried by hand."""
    s, state = policy.session(), {i: np.zeros((1, 4), np.float32) for i, _ in pairs}
    for k in range(5):
        x = np.full((1, 4), 0.1 * k, np.float32)
        want = expected(made, {"obs": x, **state})
        assert np.allclose(s.step(x), want["action"], atol=1e-6)
        state = {i: want[o] for i, o in pairs}


GROUPS = [
    [("out_state.1", "out_state"), ("hidden_state.1", "hidden_state")],
    [("carry_0", "new_carry_0"), ("carry_1", "new_carry_1")],
    [("hidden_0", "next_hidden_0"), ("hidden_1", "next_hidden_1")], [("h_0", "h_out_0"), ("h_1", "h_out_1")],
    [("hx", "hy"), ("cx", "cy")],
    [("hiddenIn", "hiddenOut"), ("cellIn", "cellOut")], [("h_t", "h_t1")], [("h_tm1", "h_t")],
    [("initial_h", "Y_h"), ("initial_c", "Y_c")],
    [("prev_deter", "deter"), ("prev_stoch", "stoch")], [("past_key", "present_key"), ("past_value", "present_value")],
    [("obs_history", "new_obs_history")], [("recurrent_in", "recurrent_out")],
    [("memory.0.in", "memory.0.out"), ("memory.1.in", "memory.1.out")],
    [("h0", "hn"), ("c0", "cn")], [("k_in", "k_out"), ("v_in", "v_out")], [("prev_h", "h"), ("prev_z", "z")],
    [("rnn_states", "rnn_states_out")],
]


@pytest.mark.parametrize("pairs", GROUPS, ids=lambda p: p[0][0])
def test_state_is_recognized_whole_carried_and_told(pairs, log):
    made = rnn(pairs)
    p = policy_of(made)
    assert p.state == dict(pairs)
    follows(made, pairs, p)
    for i, o in pairs:
        lines = [t for level, t in log if f"'{i}' is recurrent state" in t and f"'{o}'" in t and level == 1]
        assert len(lines) == 1 and lines[0] in p.notes
        assert p.inputs[i].reason == p.outputs[o].reason == "by name"
    assert policy_of(made, state={}).state == {}  # forbidden
    filed = rnn(pairs, **{"efferent.state": "{}"})
    assert policy_of(filed).state == {} and policy_of(filed, state=dict(pairs)).state == dict(pairs)


@pytest.mark.parametrize("pairs", GROUPS, ids=lambda p: p[0][0])
def test_state_leaves_an_observation(pairs, log):
    made = rnn(pairs, seen=())
    p = policy_of(made)
    assert p.state == {} and any("would leave no observation" in t for level, t in log if level == 2)
    assert policy_of(made, state=dict(pairs)).state == dict(pairs)  # asked for


STATELESS = [("input_0", "output_0"), ("INPUT__0", "OUTPUT__0"), ("input1", "output1"), ("input.1", "output.1"),
             ("joint_pos_in", "joint_pos_out"), ("x_t", "x_next"),
             ("image_0", "image_1"), ("x", "x.1"), ("obs_in", "obs_out"), ("robot_state", "next_robot_state"),
             ("past_actions", "actions"), ("v_in", "v_out")]


@pytest.mark.parametrize("pair", STATELESS, ids=lambda p: p[0])
def test_names_without_a_word_for_state_are_none(pair):
    i, o = pair
    alone = model([N("Neg", [i], [o])], [(i, T.FLOAT, [1, 4])], [(o, T.FLOAT, [1, 4])])
    p = policy_of(alone)
    assert p.state == {} and [t.role for t in p.inputs] == ["observation"]
    s = p.session()
    view = s.input(i)
    for k in range(4):  # the memory of an observation stays where it is
        view[...] = k
        assert np.array_equal(s.run()[o], np.full((1, 4), -k, np.float32))
    assert policy_of(rnn([pair])).state == {}
    assert policy_of(rnn([pair], **{"efferent.state": f'{{"{i}": "{o}"}}'})).state == {i: o}


def test_a_model_of_the_world_has_no_state():
    made = model([N("Add", ["state", "action"], ["next_state"])], [(n, T.FLOAT, [1, 4]) for n in ("state", "action")],
                 [("next_state", T.FLOAT, [1, 4])])
    p = policy_of(made)
    assert p.state == {} and p.action is None and any("would leave no action" in n for n in p.notes)


def test_half_a_group_is_no_state_and_said(log):
    made = model([N("Tanh", ["h_in"], ["h_out"]), N("Sum", ["obs", "h_in", "c_in"], ["action"])],
                 [(n, T.FLOAT, [1, 4]) for n in ("obs", "h_in", "c_in")],
                 [(n, T.FLOAT, [1, 4]) for n in ("action", "h_out")])
    p = policy_of(made)
    assert p.state == {} and any("'h_in'" in t and "'c_in'" in t for level, t in log if level == 2)
    assert policy_of(made, state={"h_in": "h_out"}).state == {"h_in": "h_out"}


@pytest.mark.parametrize("text,message",
                         [("[1]", "expected an object"), ('{"h": 1}', "expected the name"), ("{", "not JSON"),
                          ('{"x": "action"}', "names no input")])
def test_metadata_that_is_wrong_is_refused_by_its_key(text, message):
    with pytest.raises(efferent.Error, match=message) as caught:
        policy_of(rnn([("h_in", "h_out")], **{"efferent.state": text}))
    assert "state" in str(caught.value)


# ---- the command line ----


def test_inspect_shows_roles_reasons_and_how_to_choose(tmp_path):
    file = tmp_path / "two.onnx"
    file.write_bytes(outputs(["logits", "probs", "value"]).SerializeToString())
    shown = command("inspect", file)
    assert shown.returncode == 0 and "undecided" in shown.stdout and "never an action" in shown.stdout, shown.stderr
    assert "the action is not decided: it may be 'logits'" in shown.stdout
    assert "told" in command("inspect", file, "--action", "probs").stdout
    facts = json.loads(command("inspect", file, "--json", "--action", "probs").stdout)
    assert [(t["role"], t["reason"]) for t in facts["outputs"]] == [("aux", "another is"), ("action", "told"),
                                                                    ("aux", "another is")]
    wrong = command("inspect", file, "--action", "nothing")
    assert wrong.returncode == 1 and "'logits', 'probs', 'value'" in wrong.stderr


def test_the_command_line_names_and_forbids_pairs_and_binds_constants(tmp_path):
    file = tmp_path / "rnn.onnx"
    file.write_bytes(rnn([("before", "after")]).SerializeToString())
    state = lambda *more: json.loads(command("inspect", file, "--json", *more).stdout)["state"]  # noqa: E731
    assert state() == {} and state("--state", "before=after") == {"before": "after"}
    assert command("check", file, "--state", "before=after", "--samples", "8").returncode == 0
    file.write_bytes(rnn([("h_in", "h_out")]).SerializeToString())
    assert state() == {"h_in": "h_out"} and state("--no-state") == {}
    shown = command("inspect", file).stdout
    assert "by name" in shown and "note: input 'h_in' is recurrent state, its next value is output 'h_out'" in shown
    assert command("inspect", file, "--no-state", "--state", "a=b").returncode == 1
    file.write_bytes(models.sum_over().SerializeToString())
    assert command("inspect", file).returncode == 1
    for axis in (1, 2):
        done = command("check", file, "--constant", f"axes=[{axis}]", "--samples", "8")
        assert done.returncode == 0, done.stdout + done.stderr
    wrong = command("inspect", file, "--constant", "axes=one")
    assert wrong.returncode == 1 and "axes=one" in wrong.stderr
