"""The learner through the C ABI of the shipped library: golden traces in both precisions, and what the Python class
promises."""
import json
import os
import random
import signal
import struct
import time
from ctypes import byref, sizeof

import efferent
import numpy as np
import pytest
from efferent._library import lib
from efferent._table_learner import eff_learner_options
from efferent.learner import Learner
from suites import GOLDEN

FILES = sorted(GOLDEN.glob("*.safetensors"))
TYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "U8": "u1"}


class Golden:
    """One golden file: tensors by name, its metadata, and the learner that it describes."""

    def __init__(self, path):
        data = path.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        self.header = json.loads(data[8 : 8 + size])
        self.meta = json.loads(self.header.pop("__metadata__")["golden"])
        self._data = data[8 + size :]

    def __contains__(self, name):
        return name in self.header

    def __getitem__(self, name):
        entry = self.header[name]
        a, b = entry["data_offsets"]
        return np.frombuffer(self._data[a:b], TYPES[entry["dtype"]]).astype(np.float64).reshape(entry["shape"])

    def learner(self, preset=None):
        """The learner that the file describes: by numbers of its own, or by those of a preset."""
        m = self.meta
        names = {"td": "stream-td", "q": "stream-q", "sarsa": "stream-sarsa", "continuous": "stream-ac",
                 "discrete": "stream-ac-discrete"}
        self.algorithm = names[m["algorithm"].split("_")[-1]]
        given = {
            "gamma": "gamma", "lambda_": "lambda_", "lr": "step_size", "kappa_value": "kappa_value",
            "kappa_policy": "kappa_policy", "entropy_coeff": "entropy",
            "eta_policy": "eta_policy", "eta_value": "eta_value", "beta2": "beta2", "clip_mult": "clip_multiple",
            "beta_clip": "beta_clip",
            "beta_norm": "beta_norm", "obs_norm_eps": "observation_epsilon", "reward_eps": "reward_epsilon",
            "leaky_slope": "activation_alpha",
            "layernorm_eps": "layer_norm_epsilon", "obs_ema_beta": "filter_beta",
        }
        if preset:
            given = {"obs_ema_beta": "filter_beta"}  # of the task, as is the time limit
        options = {ours: m[theirs] for theirs, ours in given.items() if m.get(theirs) is not None}
        if m.get("adaptive"):
            options |= {"beta2": m["adaptive"]["beta2"], "moment_epsilon": m["adaptive"]["eps"]}
        if m["n_in"] > m["n_obs_raw"]:
            options["time_limit"] = m["time_limit"]
        intentional = m["algorithm"].startswith("intentional")
        if preset:
            options["preset"] = preset
        else:
            options["optimizer"] = "intentional" if intentional else {"ObGD": "obgd",
                                                                      "AdaptiveObGD": "adaptive-obgd"}[m["optimizer"]]
        hidden = []
        while f"init.critic.w.l{len(hidden) + 1}.weight" in self:
            hidden.append(self.header[f"init.critic.w.l{len(hidden) + 1}.weight"]["shape"][0])
        made = Learner(m["n_obs_raw"], m["n_actions"] or 0, self.algorithm, hidden, dtype=m["dtype"], reference=1,
                       **options)
        for name in made.shapes:
            if ".w." in name:
                made[name] = self.array(f"init.{name}")
        return made

    def array(self, name):
        """A stored array by the learner's name for it: a Gaussian head is one layer of ours and two of theirs."""
        if name in self:
            return self[name]
        return np.concatenate([self[name.replace(".out.", ".mu.")], self[name.replace(".out.", ".std.")]])


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_golden_traces_are_reproduced(path):
    g = Golden(path)
    reproduces(g, g.learner())


# files whose numbers are those that their papers give
PAPERS = {"stream-x": ["ac_continuous", "ac_continuous_sparse", "ac_continuous_halfcheetah", "ac_discrete",
                       "ac_discrete_sparse", "q", "sarsa", "td"],
          "intentional": ["intentional_ac", "intentional_ac_sparse"]}


@pytest.mark.skipif(not FILES, reason="no golden traces")
@pytest.mark.parametrize("preset, name", [(preset, name) for preset, names in PAPERS.items() for name in names])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_preset_is_the_rule_of_its_paper(preset, name, dtype):
    g = Golden(GOLDEN / f"{name}_{dtype}.safetensors")
    reproduces(g, g.learner(preset))


def test_a_preset_sets_its_rule_and_leaves_the_rest():
    made = eff_learner_options()
    lib.eff_learner_options_default(byref(made), sizeof(made))
    defaults = {name: getattr(made, name) for name, _ in made._fields_}
    mine = {"seed": 7, "time_limit": 200.0, "snapshots": 3, "std_floor": 0.1, "nominal_dt": 0.02, "algorithm": 1,
            "epsilon_steps": 9.0}
    for name, value in {**mine, "gamma": 0.5, "sparsity": 0.1, "optimizer": 1, "activation": 4,
                        "no_layer_norm": 1}.items():
        setattr(made, name, value)
    assert lib.eff_learner_options_preset(byref(made), b"intentional") == 0
    plain = {k: v for k, v in defaults.items() if isinstance(v, (int, float))}
    assert {k: getattr(made, k) for k in plain} == {**plain, **mine, "optimizer": 2}
    # of a caller that knows less of the struct nothing is written behind its end
    made.struct_size, made.gamma = eff_learner_options.gamma.offset + 8, 0.5
    setattr(made, "lambda", 0.25)
    assert lib.eff_learner_options_preset(byref(made), b"stream-x") == 0
    assert (made.gamma, getattr(made, "lambda"), made.optimizer) == (0.99, 0.25, 0)


def test_stream_x_is_what_a_learner_has_without_a_preset():
    plain, named = Learner(5, 3, seed=1), Learner(5, 3, seed=1, preset="stream-x")
    world(plain, 50), world(named, 50)
    assert bytes(plain) == bytes(named)


def test_options_beside_a_preset_win():
    half, both = Learner(5, 3, preset="intentional", gamma=0.5), Learner(5, 3, optimizer="intentional", gamma=0.5)
    world(half, 50), world(both, 50)
    assert bytes(half) == bytes(both)


def test_a_preset_that_cannot_be_is_refused_with_those_that_can(folder):
    with pytest.raises(efferent.ArgumentError, match="preset is 'adam', expected one of 'stream-x', 'intentional'"):
        Learner(5, 3, preset="adam")
    with pytest.raises(efferent.ArgumentError, match="'intentional' is for fresh networks.*options_adapt"):
        Learner(policy=folder / "mlp.onnx", preset="intentional")


def reproduces(g, learner):
    """Replays a golden file through a learner and compares everything that was recorded."""
    single, zero = g.meta["dtype"] == "f32", not g["init.critic.w.l1.weight"].any()
    intentional = g.meta["algorithm"].startswith("intentional")
    weight = (1e-4 if zero else 1e-5 if intentional else 1e-6) if single else 1e-11 if zero else 1e-12
    trace = (1e-2 if zero else 1e-4) if single else 1e-11 if zero else 1e-12
    delta = (1e-4 if zero else 5e-5 if intentional else 5e-6) if single else 1e-11 if zero else 1e-12
    resets, nexts, rewards = iter(g["in.obs_reset_raw"]), g["in.obs_next_raw"], g["in.reward_raw"]
    terminated, truncated = g["in.terminated"].astype(int), g["in.truncated"].astype(int)
    actions = g["in.action"] if "in.action" in g else None
    following = g["in.action_next"] if "in.action_next" in g else None
    observation = next(resets)
    for t in range(g.meta["T"]):
        learner.act(observation)
        update = learner.update(
            nexts[t], rewards[t], terminated[t], truncated[t], None if actions is None else actions[t],
            None if following is None else following[t])
        assert abs(update.td_error - g["out.delta"][t]) <= delta, f"TD error of step {t + 1}"
        assert update.trace_reset == g["out.trace_reset"][t], f"trace reset of step {t + 1}"
        observation = next(resets, nexts[t]) if terminated[t] or truncated[t] else nexts[t]
        if t + 1 in g.meta["checkpoints"]:
            prefix = f"step{t + 1:04d}."
            for name in learner.shapes:
                stored = prefix + name
                if stored not in g and prefix + name.replace(".out.", ".mu.") not in g:
                    continue
                wanted, found = g.array(stored), learner[name]
                limit = (
                    weight
                    if ".w." in name
                    else trace
                    if name.count(".") == 3
                    else 1e-12 * np.maximum(1, np.abs(wanted))
                )
                assert (np.abs(found - wanted) <= limit).all(), f"{stored}: {np.abs(found - wanted).max():.3g}"


def world(learner, steps, seed=0, action=None):
    """Some steps in a world without meaning; returns the actions."""
    rng = np.random.default_rng(seed)
    observation, done = rng.normal(size=learner.observations), []
    for t in range(steps):
        done.append(learner.act(observation))
        observation = rng.normal(size=learner.observations)
        learner.update(observation, rng.normal(), terminated=t % 13 == 12, truncated=t % 29 == 28)
    return done


@pytest.mark.parametrize("algorithm", efferent.learner.ALGORITHMS)
def test_equal_seeds_learn_equally(algorithm):
    made = [Learner(5, 0 if algorithm == "stream-td" else 3, algorithm, seed=s) for s in (1, 1, 2)]
    runs = [world(m, 200) for m in made]
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])
    assert bytes(made[0]) == bytes(made[1])


def test_a_checkpoint_file_continues_bit_for_bit(tmp_path):
    first, second = Learner(5, 3, seed=1), Learner(5, 3, seed=2)
    world(first, 77)
    first.save(tmp_path / "a.bin")
    second.restore(tmp_path / "a.bin")
    assert np.array_equal(world(first, 100, 3), world(second, 100, 3))
    assert bytes(first) == bytes(second)


def test_a_killed_process_leaves_the_last_checkpoint(tmp_path):
    """EFFERENT_KILLS sets how often; a process that saves without pause is killed at random times."""
    path, rng = tmp_path / "a.bin", random.Random(0)
    learner = Learner(5, 3, snapshots=2, preset="intentional-capped")  # has every kind of state
    learner.save(path)
    updates = -1
    for _ in range(int(os.environ.get("EFFERENT_KILLS", 25))):
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                learner.restore(path)
                world(learner, 3)
                learner.save(path)
                os.write(told, b"1")
                while True:
                    world(learner, 3)
                    learner.save(path)
            finally:
                os._exit(1)
        os.close(told)
        assert os.read(heard, 1) == b"1"  # on a busy machine the first one takes a while
        os.close(heard)
        time.sleep(rng.random() * 0.2)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        learner.restore(path)
        assert learner["obsnorm.count"][0] > updates
        updates = learner["obsnorm.count"][0]
    assert {p.name for p in tmp_path.iterdir()} <= {"a.bin", "a.bin.tmp"}


def test_damage_and_other_shapes_are_refused(tmp_path):
    learner = Learner(5, 3, seed=1)
    world(learner, 20)
    good = bytes(learner)
    for at in range(0, len(good), 9973):
        with pytest.raises(efferent.Error):
            learner.restore_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    with pytest.raises(efferent.MismatchError, match="another"):
        Learner(4, 3).restore_bytes(good)
    with pytest.raises(efferent.FormatError):
        learner.restore_bytes(good[:1000])
    assert bytes(learner) == good


@pytest.mark.parametrize("options, word", [
    (dict(gamma=2.0), "gamma"), (dict(hidden=[0]), "hidden"), (dict(kappa_value=0.0), "kappa_value"),
    (dict(std_floor=-1.0), "std_floor"),
    (dict(snapshots=65), "snapshots"), (dict(algorithm="stream-x"), "stream-x"), (dict(gama=0.9), "gama"),
    (dict(optimizer="adam"), "adam"),
    (dict(error_cap=-1.0), "error_cap"), (dict(error_cap=float("nan")), "error_cap"),
    (dict(beta_energy=1.0), "beta_energy"),
    (dict(gamma=float("nan")), "gamma"), (dict(actions=0), "action_count"),
])
def test_a_wrong_option_is_named(options, word):
    with pytest.raises(efferent.ArgumentError, match=word):
        Learner(**{"observations": 4, "actions": 2, **options})


def test_what_is_not_finite_is_refused_and_survived():
    learner = Learner(5, 3)
    world(learner, 50)
    before = learner["actor.w.l2.weight"]
    last = learner.act(np.zeros(5))
    assert np.array_equal(learner.act([0, np.nan, 0, 0, 0]), last)
    learner.update(np.zeros(5), float("inf"))
    assert learner.reason == "bad input" and np.array_equal(learner["actor.w.l2.weight"], before)
    world(learner, 50)
    assert learner.reason == "learned" and np.isfinite(learner["actor.w.l2.weight"]).all()


def test_numbers_and_flags_of_numpy_are_taken_as_those_of_python():
    plain, arrays = Learner(5, 3, seed=1), Learner(5, 3, seed=1)
    for t in range(20):
        plain.act(np.ones(5)), arrays.act(np.ones(5, np.float32))
        plain.update(np.zeros(5), 0.5, t == 5, t == 9)
        arrays.update(np.zeros(5), np.float32(0.5), np.bool_(t == 5), np.bool_(t == 9))
    assert bytes(plain) == bytes(arrays)


def test_infer_changes_nothing():
    first, second = Learner(5, 3, seed=1), Learner(5, 3, seed=1)
    world(first, 50), world(second, 50)
    assert np.array_equal(first.infer(np.ones(5)), first.infer(np.ones(5)))
    assert np.array_equal(world(first, 50, 4), world(second, 50, 4)) and bytes(first) == bytes(second)


def test_exploration_is_told_also_where_nothing_learns():
    learner = Learner(5, 2, std_floor=0.3, std_ceiling=0.4)
    learner.freeze("actor")
    world(learner, 20)
    assert 0.3 <= learner._update.exploration <= 0.4
    q = Learner(5, 2, "stream-q", epsilon_start=0.5, epsilon_end=0.25, epsilon_steps=10)
    world(q, 5)
    assert q._update.exploration == pytest.approx(0.5 - 0.25 * 5 / 10)
    world(q, 20)
    assert q._update.exploration == 0.25


def test_freezing_the_actor_lets_the_critic_learn():
    learner = Learner(5, 3)
    world(learner, 10)
    learner.freeze("actor", "normalizers")
    actor, critic = learner["actor.w.l2.weight"], learner["critic.w.l2.weight"]
    world(learner, 10)
    assert np.array_equal(actor,
                          learner["actor.w.l2.weight"]) and not np.array_equal(critic, learner["critic.w.l2.weight"])


def test_a_narrow_network_is_not_dead():
    """With 8 units and 2 inputs, all weights of both layers were zeros that no gradient reached."""
    learner = Learner(2, 0, "stream-td", hidden=[8], seed=1)
    assert all(np.count_nonzero(row) == 1 for row in learner["critic.w.out.weight"])
    random = np.random.default_rng(1)
    for _ in range(300):
        seen = random.normal(size=2)
        learner.act(seen)
        learner.update(random.normal(size=2), float(seen[0]))
    assert learner.infer([1, 0]) != learner.infer([-1, 0])
    # as the authors' programs do it
    paper = Learner(2, 0, "stream-td", hidden=[8], seed=1, reference=1)
    assert np.count_nonzero(paper["critic.w.out.weight"]) == 0
