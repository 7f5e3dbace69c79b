"""efferent convert: checkpoints of trainers against their own formulas, and checkpoints that mean harm."""
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import checkpoints as made
import efferent
import numpy as np
import pytest
import suites

FOLDER = suites.ZOO / "checkpoints" if suites.ZOO else None
RNG = np.random.default_rng(7)
tanh, relu = np.tanh, lambda x: np.maximum(x, 0)


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def converted(tmp_path, data, name="checkpoint", **options):
    path = tmp_path / name
    path.write_bytes(data)
    return efferent.convert(path, **options)


def steps(conversion, observations, name="obs"):
    """Actions of one session, a step for each observation."""
    policy = efferent.Policy(conversion.data)
    session = policy.session()
    return np.array([session.run({name: x.reshape(policy.inputs[name].shape)})["action"][0] for x in observations])


def expect(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)


# ---- files of the trainers themselves, where they are at hand ----

SHARED = [("sb3_ppo.zip", "sb3_ppo_vecnormalize.pkl"), ("sb3_sac.zip", None), ("rslrl5_mlp.pt", None),
          ("rslrl5_rnn.pt", None), ("rslrl_legacy.pt", None), ("skrl_agent.pt", None),
          ("mlp_f32.safetensors", None), ("mlp_f16.safetensors", None), ("mlp_bf16.safetensors", None)]


@pytest.mark.skipif(FOLDER is None or not FOLDER.is_dir(), reason="no zoo here")
@pytest.mark.parametrize("name, normalizer", SHARED)
def test_checkpoints_of_trainers_give_their_actions(name, normalizer):
    wanted = np.load(FOLDER / f"{name.split('.')[0]}.npz")
    conversion = efferent.convert(FOLDER / name, normalizer=FOLDER / normalizer if normalizer else None)
    found = steps(conversion, wanted["obs"])
    expect(found, wanted["action"].reshape(found.shape))


@pytest.mark.skipif(FOLDER is None or not FOLDER.is_dir(), reason="no zoo here")
def test_statistics_of_lerobot_normalize_and_bring_back():
    wanted = np.load(FOLDER / "lerobot_normalizer.npz")
    policy = efferent.Policy(efferent.convert(FOLDER / "lerobot_normalizer.safetensors").data)
    found = policy.session(8).run({"observation.state": wanted["obs"], "action": wanted["model_action"]})
    expect(found["observation.state.normalized"], wanted["norm_obs"])
    expect(found["action"], wanted["action"])


# ---- Stable-Baselines3 ----

LIMITS = made.box([-1, -2, 0], [1, 3, 5])


def test_ppo_with_vec_normalize(tmp_path):
    state = made.dense(RNG, (9, 16, 8), "mlp_extractor.policy_net.") | {"action_net.weight": normal(3, 8),
                                                                        "action_net.bias": normal(3),
                                                                        "log_std": normal(3)}
    state |= made.dense(RNG, (9, 4), "mlp_extractor.value_net.")
    mean, var = RNG.normal(size=9) * 5, RNG.uniform(0.1, 9, 9)
    (tmp_path / "stats.pkl").write_bytes(made.vec_normalize(mean, var, clip=2.5, epsilon=1e-2))
    kwargs = {"activation_fn": "<class 'torch.nn.modules.activation.ELU'>"}
    conversion = converted(tmp_path, made.sb3_zip(state, made.box(-np.inf, np.inf, (9,)), LIMITS, kwargs),
                           normalizer=tmp_path / "stats.pkl")
    x = normal(6, 9) * 10
    h = made.run_dense(state, "mlp_extractor.policy_net.", np.clip((x - mean) / np.sqrt(var + 1e-2), -2.5, 2.5), elu,
                       elu)
    expect(steps(conversion, x),
           np.clip(h @ state["action_net.weight"].T + state["action_net.bias"], [-1, -2, 0], [1, 3, 5]))


def test_a_large_mean_keeps_its_small_differences(tmp_path):
    """Statistics are f64 and are used so where it matters: in f32 the difference below would be lost."""
    state = {"action_net.weight": np.eye(1, dtype=np.float32), "action_net.bias": np.zeros(1, np.float32)}
    mean, var = np.array([1000.00001]), np.array([1e-8])
    (tmp_path / "stats.pkl").write_bytes(made.vec_normalize(mean, var, epsilon=0.0))
    conversion = converted(tmp_path, made.sb3_zip(state, made.box(-np.inf, np.inf, (1,)), made.box([-20], [20])),
                           normalizer=tmp_path / "stats.pkl")
    x = np.array([[1000.0]], np.float32)
    expect(steps(conversion, x), [[(1000.0 - 1000.00001) / 1e-4]])


@pytest.mark.parametrize("prefix, explored", [("actor.mu.", False), ("actor.mu.0.", True)])
def test_sac_squashes_and_unscales(tmp_path, prefix, explored):
    state = made.dense(RNG, (5, 8, 8), "actor.latent_pi.") | {prefix + "weight": 3 * normal(3, 8),
                                                              prefix + "bias": normal(3),
                                                              "actor.log_std.weight": normal(3, 8)}
    conversion = converted(tmp_path,
                           made.sb3_zip(state, made.box(-np.inf, np.inf, (5,)), LIMITS, {"use_sde": explored}))
    x = normal(6, 5) * 3
    mean = made.run_dense(state, "actor.latent_pi.", x, relu,
                          relu) @ state[prefix + "weight"].T + state[prefix + "bias"]
    low, high = np.array([-1, -2, 0]), np.array([1, 3, 5])
    mean = np.clip(mean, -2, 2) if explored else mean
    expect(steps(conversion, x), low + 0.5 * (np.tanh(mean) + 1) * (high - low))


def test_td3_takes_its_activation_from_the_command(tmp_path):
    state = made.dense(RNG, (5, 8, 8, 3), "actor.mu.")
    conversion = converted(tmp_path, made.sb3_zip(state, made.box(-np.inf, np.inf, (5,)), LIMITS), activation="Sigmoid")
    x, low, high = normal(6, 5) * 3, np.array([-1, -2, 0]), np.array([1, 3, 5])
    expect(steps(conversion, x), low + 0.5 * (made.run_dense(state, "actor.mu.", x, sigmoid, tanh) + 1) * (high - low))


def test_dqn_and_ppo_choose_among_discrete_actions(tmp_path):
    state = made.dense(RNG, (5, 8, 4), "q_net.q_net.") | made.dense(RNG, (5, 8, 4), "q_net_target.q_net.")
    conversion = converted(tmp_path,
                           made.sb3_zip(state, made.box(-np.inf, np.inf, (5,)),
                                        made.space("Discrete", n=np.int64(4), start=np.int64(0))))
    x = normal(20, 5)
    found = steps(conversion, x)
    assert found.dtype == np.int64 and len(set(found.tolist())) > 1
    assert found.tolist() == made.run_dense(state, "q_net.q_net.", x, relu).argmax(1).tolist()
    state = {"action_net.weight": normal(5, 12), "action_net.bias": normal(5)}
    observed = made.space("Dict",
                          spaces={"a": made.space("MultiDiscrete", nvec=np.array([3, 4])),
                                  "b": made.box(-1, 1, (1, 5), np.float32)})
    conversion = converted(tmp_path, made.sb3_zip(state, observed, made.space("MultiDiscrete", nvec=np.array([2, 3]))))
    session = efferent.Policy(conversion.data).session()
    for _ in range(20):
        a, b = RNG.integers(0, [3, 4]), normal(1, 5)
        scores = state["action_net.weight"] @ np.concatenate([np.eye(3)[a[0]], np.eye(4)[a[1]],
                                                              b[0]]) + state["action_net.bias"]
        assert session.run({"a": a[None],
                            "b": b[None]})["action"].tolist() == [[scores[:2].argmax(), scores[2:].argmax()]]


# ---- rsl_rl, skrl, plain networks ----


def lstm(state, prefix, x, h, c):
    gates = (
        state[f"{prefix}weight_ih_l0"] @ x
        + state[f"{prefix}bias_ih_l0"]
        + state[f"{prefix}weight_hh_l0"] @ h
        + state[f"{prefix}bias_hh_l0"]
    )
    i, f, g, o = np.split(gates.astype(np.float64), 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(state, prefix, x, h):
    a = np.split(state[f"{prefix}weight_ih_l0"] @ x + state[f"{prefix}bias_ih_l0"], 3)
    b = np.split(state[f"{prefix}weight_hh_l0"] @ h + state[f"{prefix}bias_hh_l0"], 3)
    r, z = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
    return (1 - z) * np.tanh(a[2] + r * b[2]) + z * h


def gates(prefix, count, inputs, hidden):
    shapes = {"weight_ih": (count * hidden, inputs), "weight_hh": (count * hidden, hidden),
              "bias_ih": (count * hidden,), "bias_hh": (count * hidden,)}
    return {f"{prefix}{k}_l0": normal(*s) * np.float32(0.4) for k, s in shapes.items()}


@pytest.mark.parametrize("form", ["5", "legacy", "3"])
def test_rsl_rl_normalizes_remembers_and_acts(tmp_path, form):
    memory = {"5": "rnn.rnn.", "legacy": "memory_a.rnn.", "3": "memory_a.rnn."}[form]
    actor = {"5": "mlp."}.get(form, "actor.")
    state = gates(memory, 4, 7, 6) | made.dense(RNG, (6, 8, 3), actor)
    statistics = {"_mean": normal(1, 7), "_std": RNG.uniform(0.2, 2, (1, 7)).astype(np.float32), "_var": normal(1, 7),
                  "count": np.array([5])}
    if form == "5":
        root = {"actor_state_dict": state
                | {f"obs_normalizer.{k}": v for k, v in statistics.items()} | {"distribution.std_param": normal(3)},
                "critic_state_dict": made.dense(RNG, (7, 1), "mlp."),
                "optimizer_state_dict": {"state": {}, "param_groups": {"lr": 0.001}}, "iter": 3, "infos": None}
    elif form == "legacy":
        root = {"model_state_dict": state | {"std": normal(3)}, "obs_norm_state_dict": statistics, "iter": 3}
    else:
        root = {"model_state_dict": state
                | {f"actor_obs_normalizer.{k}": v for k, v in statistics.items()} | {"log_std": normal(3)}, "iter": 3}
    found = steps(converted(tmp_path, made.torch_file(root)), observations := normal(16, 7) * 2)
    h = c = np.zeros(6)
    for action, x in zip(found, observations):
        h, c = lstm(state, memory, ((x - statistics["_mean"]) / (statistics["_std"] + 0.01))[0], h, c)
        expect(action, made.run_dense(state, actor, h[None], elu)[0])


def test_rsl_rl_gru_and_a_std_that_depends_on_the_state(tmp_path):
    state = gates("rnn.rnn.", 3, 4, 5) | made.dense(RNG, (5, 8, 6), "mlp.")
    found = steps(converted(tmp_path, made.torch_file({"actor_state_dict": state}), activation="swish", actions=3),
                  observations := normal(16, 4))
    h = np.zeros(5)
    for action, x in zip(found, observations):
        h = gru(state, "rnn.rnn.", x, h)
        expect(action, made.run_dense(state, "mlp.", h[None], lambda v: v * sigmoid(v))[0, :3])


@pytest.mark.parametrize("key", ["observation_preprocessor", "state_preprocessor"])
def test_skrl_scales_with_its_f64_statistics(tmp_path, key):
    state = (
        {"log_std_parameter": normal(2)}
        | made.dense(RNG, (6, 8, 8), "net_container.")
        | {"policy_layer.weight": normal(2, 8), "policy_layer.bias": normal(2), "value_layer.weight": normal(1, 8)}
    )
    statistics = {"running_mean": RNG.normal(size=6), "running_variance": RNG.uniform(0.1, 4, 6),
                  "current_count": np.array([4.0])}
    root = {"policy": state, "value": made.dense(RNG, (6, 1), "net."), key: statistics, "optimizer": {}}
    x = normal(6, 6) * 6
    scaled = np.clip((x - statistics["running_mean"]) / (np.sqrt(statistics["running_variance"]) + 1e-8), -5, 5)
    wanted = made.run_dense(state, "net_container.", scaled, relu,
                            relu) @ state["policy_layer.weight"].T + state["policy_layer.bias"]
    conversion = converted(tmp_path, made.torch_file(root), activation="relu", squash=True, action_low=-2,
                           action_high=4)
    expect(steps(conversion, x), -2 + (np.tanh(wanted) + 1) * 3)


def test_bfloat16_weights_are_widened(tmp_path):
    state = made.dense(RNG, (4, 8, 2), "actor.")
    bits = {k: {"bf16": (v.view(np.uint32) >> 16).astype(np.uint16)} for k, v in state.items()}
    widened = {k: (v["bf16"].astype(np.uint32) << 16).view(np.float32) for k, v in bits.items()}
    x = normal(6, 4)
    expect(steps(converted(tmp_path, made.torch_file(bits), activation="tanh"), x),
           made.run_dense(widened, "actor.", x, tanh))


def test_a_network_takes_the_statistics_of_lerobot(tmp_path):
    from efferent._convert.safetensors import dumps

    state = made.dense(RNG, (4, 8, 2), "net.")
    statistics = {"observation.state.min": normal(4) - 3, "observation.state.max": normal(4) + 3,
                  "action.mean": normal(2), "action.std": np.abs(normal(2)) + 1}
    (tmp_path / "stats.safetensors").write_bytes(dumps(statistics))
    conversion = converted(tmp_path, dumps(state, {"activation": "tanh"}), normalizer=tmp_path / "stats.safetensors")
    x = normal(6, 4)
    low, high = statistics["observation.state.min"], statistics["observation.state.max"]
    wanted = made.run_dense(state, "net.", 2 * (x - low) / (high - low) - 1,
                            tanh) * statistics["action.std"] + statistics["action.mean"]
    expect(steps(conversion, x), wanted)


# ---- what cannot be converted is explained ----


@pytest.mark.parametrize("root, text", [
    ({"model_state_dict": {"actor.0.weight": normal(3, 4), "actor.2.weight": normal(2, 5)}},
     r"'actor.2.weight' is \[2, 5\], expected \[outputs, 3\]"),
    ({"model_state_dict": {"encoder.x": normal(3, 4)}}, "are those of no actor that is known here"),
    ({"policy": {"net.0.weight": normal(3, 4), "strange": normal(2, 2)}}, "'strange' belongs to the policy"),
    ({"actor_state_dict": {"mlp.0.weight": normal(3, 4), "cnns.image.0.weight": normal(2, 2)}}, "the actor has a CNN"),
    ({"actor_state_dict": {"mlp.0.weight": np.full((3, 4), np.nan, np.float32)}}, "values that are not finite"),
    ([1, 2], "holds a list, expected a dictionary of tensors"),
])
def test_networks_that_are_not_understood_are_refused_by_name(tmp_path, root, text):
    with pytest.raises(efferent.Error, match=text):
        converted(tmp_path, made.torch_file(root))


def test_statistics_must_fit_the_observation(tmp_path):
    state = {"action_net.weight": normal(3, 9), "action_net.bias": normal(3)}
    for statistics, text in ((made.vec_normalize(np.zeros(8), np.ones(8)), r"mean is \[8\], expected \[9\]"),
                             (made.vec_normalize({"a": np.zeros(9)}, {"a": np.ones(9)}), "statistics of 'a'")):
        (tmp_path / "stats.pkl").write_bytes(statistics)
        with pytest.raises(efferent.Error, match=text):
            converted(tmp_path, made.sb3_zip(state, made.box(-np.inf, np.inf, (9,)), LIMITS),
                      normalizer=tmp_path / "stats.pkl")
    with pytest.raises(efferent.Error, match="is the normalizer of a policy"):
        converted(tmp_path, made.vec_normalize(np.zeros(8), np.ones(8)))


# ---- files that mean harm ----


class Harm:
    """Runs a command where it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def op(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


HOSTILE = {
    "eval": (op(b"cbuiltins\neval\n(X\x03\x00\x00\x001+1tR"), "builtins.eval"),
    "getattr": (op(b"cbuiltins\ngetattr\n(NX\x03\x00\x00\x00abctR"), "builtins.getattr"),
    "a name made on the stack": (b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.", "posix.system"),
    "an instance": (op(b"(ios\nsystem\n"), "INST"),
    "an extension": (op(b"\x82\x01"), "EXT1"),
    "a class is called": (op(b"ccollections\nOrderedDict\n)\x81"), "makes an object of collections.OrderedDict"),
    "a type is called": (op(b"cbuiltins\nlist\n)R"), "calls builtins.list"),
    "nothing is called": (op(b"N)R"), "something without a name"),
    "cut short": (b"\x80\x02X\xff\xff\xff\x7fabc", "damaged"),
    "a huge text": (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.", "damaged"),
    "a huge memo": (op(b"Nr\xff\xff\xff\xff"), None),
    "an empty stack": (b"\x80\x02.", "damaged"),
    "no end": (b"\x80\x02N", "cut short|damaged"),
    "deep tuples as keys": (op(b"}" + b")" + b"\x85" * 200_000 + b"Ns"), "a key is a tuple"),
    "deep lists": (op(b"]" * 200_000 + b"a" * 199_999), None),
    "an array of objects": (op(b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8tR"), "refused, expected numbers"),
    "an array without its bytes": (
        op(
            b"cnumpy.core.numeric\n_frombuffer\n(C\x04abcdcnumpy\ndtype\n(X\x02\x00\x00\x00f4tR(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ftX\x01\x00\x00\x00CtR"
        ),
        "does not have the bytes",
    ),
    "a long number": (op(b"I" + b"9" * 100_000 + b"\n"), "damaged"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_and_run_nothing(tmp_path, name):
    data, text = HOSTILE[name]
    for file, wrapped in (("stats.pkl", data),
                          ("model.pt", made.patched(made.torch_file({"a": 1}), "archive/data.pkl", lambda _: data))):
        with pytest.raises(efferent.Error, match=text):
            converted(tmp_path, wrapped, file)


def test_a_command_in_a_pickle_is_not_run_and_is_named(tmp_path):
    harm = pickle.dumps(Harm(tmp_path / "ran"))
    state = {"action_net.weight": normal(3, 9), "action_net.bias": normal(3)}
    policy = made.sb3_zip(state, made.box(-1, 1, (9,)), LIMITS)
    (tmp_path / "stats.pkl").write_bytes(harm)
    import base64
    import json

    def in_space(data):
        data = json.loads(data)
        data["observation_space"][":serialized:"] = base64.b64encode(harm).decode()
        return json.dumps(data).encode()

    for data, options in ((policy, {"normalizer": tmp_path / "stats.pkl"}),
                          (made.patched(made.torch_file({"a": 1}), "archive/data.pkl", lambda _: harm), {}),
                          (made.patched(policy, "data", in_space), {}), (harm, {})):
        with pytest.raises(efferent.UnsupportedError, match=r"(posix|nt)\.system"):
            converted(tmp_path, data, **options)
    assert not (tmp_path / "ran").exists()


def test_zips_that_are_cut_lie_or_burst_are_refused(tmp_path):
    policy = made.sb3_zip({"action_net.weight": normal(3, 9), "action_net.bias": normal(3)}, made.box(-1, 1, (9,)),
                          LIMITS)
    for n in (*range(4, len(policy), 97), len(policy) - 1):
        with pytest.raises(efferent.Error):
            converted(tmp_path, policy[:n])
    with pytest.raises(efferent.Error):
        converted(tmp_path, made.huge_size(policy, 0xFFFFFFF0))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as z, z.open("archive/data.pkl", "w",
                                                                       force_zip64=True) as stream:
        for _ in range(200):
            stream.write(bytes(1 << 20))
    with pytest.raises(efferent.FormatError, match="unpacks from"):
        converted(tmp_path, bomb.getvalue())


def test_tensors_cannot_reach_outside_their_storage(tmp_path):
    good = made.torch_file({"mlp.0.weight": normal(3, 4)})
    converted(tmp_path, good)
    for member, change, text in (
        ("archive/data/0", lambda d: d[:-4], "has 44 bytes, expected 48"),
        (
            "archive/data.pkl",
            lambda d: d.replace(b"K\x03K\x04\x86", b"K\x09K\x04\x86"),
            "does not fit into its storage",
        ),
        (
            "archive/data.pkl",
            lambda d: d.replace(b"K\x04K\x01\x86", b"K\x00K\x00\x86").replace(
                b"K\x03K\x04\x86", b"M\xff\xffM\xff\xff\x86"
            ),
            "does not fit into its storage",
        ),
    ):
        with pytest.raises(efferent.FormatError, match=text):
            converted(tmp_path, made.patched(good, member, change))
    with pytest.raises(efferent.UnsupportedError, match="TorchScript"):
        converted(tmp_path, made.torch_file({"a": 1}, constants_pkl=b"x"))


def test_damaged_checkpoints_end_in_errors_of_efferent(tmp_path):
    """Bytes changed at random: whatever comes out, it is a conversion or an Error."""
    files = {"a.zip": made.sb3_zip({"action_net.weight": normal(3, 9), "action_net.bias": normal(3)},
                                   made.box(-1, 1, (9,)), LIMITS), "b.pkl": made.vec_normalize(np.zeros(8), np.ones(8)),
             "c.pt": made.torch_file({"model_state_dict": made.dense(RNG, (4, 3, 2), "actor.")})}
    refused = 0
    for _ in range(400):
        name = list(files)[RNG.integers(len(files))]
        data = bytearray(files[name])
        for at in RNG.integers(len(data), size=RNG.integers(1, 4)):
            data[at] = RNG.integers(256)
        try:
            converted(tmp_path, bytes(data), name)
        except efferent.Error as e:
            refused += 1
            assert len(str(e)) > 10
    assert refused > 200


# ---- the command ----


def test_the_command_converts_says_what_it_did_and_fails_without_a_traceback(tmp_path):
    pytest.importorskip("typer")
    (tmp_path / "a.pt").write_bytes(made.torch_file({"model_state_dict": made.dense(RNG, (4, 3, 2), "actor.")}))
    run = lambda *arguments: subprocess.run([sys.executable, "-m", "efferent", *map(str, arguments)],
                                            capture_output=True, text=True)
    good = run("convert", tmp_path / "a.pt", "-o", tmp_path / "a.safetensors")
    assert good.returncode == 0, good.stderr
    assert "activation: elu (the trainer's default" in good.stdout and "action f32[1, 2] action" in good.stdout
    assert "dense [4 -> 3] elu" in run("inspect", tmp_path / "a.safetensors").stdout
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(Harm(tmp_path / "ran")))
    for file in ("b.pkl", "a.safetensors"):
        bad = run("convert", tmp_path / file, "-o", tmp_path / "c.safetensors")
        assert bad.returncode == 1 and bad.stderr.startswith("error: EFF_E_") and "Traceback" not in bad.stderr
    assert not (tmp_path / "c.safetensors").exists() and not (tmp_path / "ran").exists()
    assert struct.unpack("<Q", (tmp_path / "a.safetensors").read_bytes()[:8])[0] % 64 == 56
