"""efferent convert --learnable: std and critic of a checkpoint come over, so that learning goes on without a warm-up.
Checkpoints are made here, with numpy; values are compared with numpy in f64."""
import subprocess
import sys

import checkpoints as made
import efferent
import numpy as np
import pytest
import suites
from efferent._convert import critic_path
from efferent.learner import Learner

FOLDER = suites.ZOO / "checkpoints" if suites.ZOO else None
RNG = np.random.default_rng(11)
LIMITS = made.box([-1, -2, 0], [1, 3, 5])
LOW, HIGH = np.array([-1, -2, 0]), np.array([1, 3, 5])
tanh, relu = np.tanh, lambda x: np.maximum(x, 0)


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def linear(name, outputs, inputs):
    return {f"{name}.weight": normal(outputs, inputs) / np.float32(np.sqrt(inputs)), f"{name}.bias": normal(outputs)}


def run_linear(state, name, x):
    return x @ state[f"{name}.weight"].astype(np.float64).T + state[f"{name}.bias"]


def converted(tmp_path, data, **options):
    (tmp_path / "checkpoint").write_bytes(data)
    return efferent.convert(tmp_path / "checkpoint", tmp_path / "policy.safetensors", learnable=True, **options)


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=3e-5, atol=3e-5)


def values(tmp_path, x):
    """What a learner without a single option makes of states: deterministic action, value, and the mean std."""
    files = tmp_path / "policy.safetensors", critic_path(tmp_path / "policy.safetensors")
    learner = Learner(policy=files[0], critic=files[1])
    learner.freeze("actor", "critic")
    out = []
    for s, s2 in zip(x[:-1], x[1:]):
        learner.act(s)
        update = learner.update(s2, 0.0)
        out.append((learner.infer(s), update.value, update.next_value, update.exploration))
    actions, here, there, spread = (np.array(part) for part in zip(*out))
    return actions, here, there, spread


def ppo(**more):
    state = made.dense(RNG, (4, 16, 8), "mlp_extractor.policy_net.") | linear("action_net", 3, 8)
    state |= made.dense(RNG, (4, 16, 8), "mlp_extractor.value_net.") | linear("value_net", 1, 8)
    return state | {"log_std": normal(3) * 0.1 - 1}


def test_ppo_brings_its_value_and_its_std(tmp_path):
    state = ppo()
    mean, var = RNG.normal(size=4) * 5, RNG.uniform(0.1, 9, 4)
    (tmp_path / "stats.pkl").write_bytes(made.vec_normalize(mean, var, clip=2.5, return_var=49.0))
    found = converted(tmp_path, made.sb3_zip(state, made.box(-np.inf, np.inf, (4,)), LIMITS, gamma=0.95),
                      normalizer=tmp_path / "stats.pkl")
    x = normal(8, 4) * 5 + mean.astype(np.float32)
    actions, here, there, spread = values(tmp_path, x)
    h = np.clip((x - mean) / np.sqrt(var + 1e-8), -2.5, 2.5)
    v = run_linear(state, "value_net", made.run_dense(state, "mlp_extractor.value_net.", h, tanh, tanh))[:, 0] * 7
    a = run_linear(state, "action_net", made.run_dense(state, "mlp_extractor.policy_net.", h, tanh, tanh))
    close(actions, np.clip(a, LOW, HIGH)[:-1])
    close(here, v[:-1])
    close(there, v[1:])
    close(spread, np.exp(state["log_std"].astype(np.float64)).mean())
    assert any("times 7" in n for n in found.notes) and any("gamma: 0.95" in n for n in found.notes)


def test_gamma_of_the_checkpoint_is_the_learners(tmp_path):
    converted(tmp_path, made.sb3_zip(ppo(), made.box(-np.inf, np.inf, (4,)), LIMITS, gamma=0.9))
    files = tmp_path / "policy.safetensors", critic_path(tmp_path / "policy.safetensors")
    learner = Learner(policy=files[0], critic=files[1])
    learner.act(np.ones(4))
    u = learner.update(np.zeros(4), 0.5)
    assert u.td_error == pytest.approx(0.5 + 0.9 * u.next_value - u.value, abs=1e-6)


def test_std_and_both_networks_learn_and_are_exported(tmp_path):
    converted(tmp_path, made.sb3_zip(ppo(), made.box(-np.inf, np.inf, (4,)), LIMITS))
    files = tmp_path / "policy.safetensors", critic_path(tmp_path / "policy.safetensors")
    learner = Learner(policy=files[0], critic=files[1], kappa_policy=1.0, seed=1)
    before = {n: learner[n] for n in learner.shapes if ".w." in n}
    assert "actor.w.log_std.value" in before and "critic.w.value_net.weight" in before
    for _ in range(60):
        learner.act(normal(4))
        learner.update(normal(4), RNG.normal())
    assert all(not np.array_equal(learner[n], w) for n, w in before.items())
    learner.export(tmp_path / "again.safetensors")
    again = Learner(policy=tmp_path / "again.safetensors", critic=files[1])
    for x in normal(20, 4):
        np.testing.assert_array_equal(learner.infer(x), again.infer(x))
    np.testing.assert_array_equal(learner["actor.w.log_std.value"], again["actor.w.log_std.value"])


def sac(prefix="actor.mu", quantiles=1):
    state = made.dense(RNG, (4, 8, 8), "actor.latent_pi.") | linear(prefix, 3, 8) | linear("actor.log_std", 3, 8)
    for i in range(2):
        state |= made.dense(RNG, (7, 8, 8, quantiles), f"critic.qf{i}.")
        state |= made.dense(RNG, (7, 8, 8, quantiles), f"critic_target.qf{i}.")
    return state


@pytest.mark.parametrize("quantiles", [1, 5])
def test_sac_and_tqc_give_the_value_of_their_own_action(tmp_path, quantiles):
    state = sac(quantiles=quantiles)
    found = converted(tmp_path, made.sb3_zip(state, made.box(-np.inf, np.inf, (4,)), LIMITS))
    x = normal(8, 4)
    h = made.run_dense(state, "actor.latent_pi.", x, relu, relu)
    a = np.tanh(run_linear(state, "actor.mu", h))
    q = [made.run_dense(state, f"critic.qf{i}.", np.hstack([x, a]), relu).mean(1) for i in range(2)]
    actions, here, there, spread = values(tmp_path, x)
    close(actions, (LOW + 0.5 * (a + 1) * (HIGH - LOW))[:-1])
    close(here, np.minimum(*q)[:-1])
    close(there, np.minimum(*q)[1:])
    close(spread, np.exp(np.clip(run_linear(state, "actor.log_std", h), -20, 2)).mean(1)[:-1])
    assert any("V(s) = min of 2 Q(s, pi(s))" in n for n in found.notes)


def test_of_a_value_of_actions_the_action_stays_and_the_rest_learns(tmp_path):
    converted(tmp_path, made.sb3_zip(sac(), made.box(-np.inf, np.inf, (4,)), LIMITS))
    learner = Learner(policy=tmp_path / "policy.safetensors", critic=critic_path(tmp_path / "policy.safetensors"))
    learned = {n.removeprefix("critic.w.") for n in learner.shapes if n.startswith("critic.w.")}
    assert learned == {n for n in sac() if n.startswith("critic.qf")}
    assert {"actor.w.actor.mu.weight", "actor.w.actor.log_std.bias"} <= set(learner.shapes)


def test_td3_has_a_critic_and_no_std(tmp_path):
    state = made.dense(RNG, (4, 8, 8, 3), "actor.mu.")
    for i in range(2):
        state |= made.dense(RNG, (7, 8, 1), f"critic.qf{i}.")
    found = converted(tmp_path, made.sb3_zip(state, made.box(-np.inf, np.inf, (4,)), LIMITS))
    x = normal(8, 4)
    a = np.tanh(made.run_dense(state, "actor.mu.", x, relu))
    q = [made.run_dense(state, f"critic.qf{i}.", np.hstack([x, a]), relu)[:, 0] for i in range(2)]
    _, here, _, spread = values(tmp_path, x)
    close(here, np.minimum(*q)[:-1])
    close(spread, 0.03)
    assert any("std: the checkpoint has none" in n for n in found.notes)


def test_dqn_is_its_own_critic(tmp_path):
    state = made.dense(RNG, (4, 8, 3), "q_net.q_net.")
    found = converted(tmp_path, made.sb3_zip(state, made.box(-np.inf, np.inf, (4,)), made.space("Discrete", n=3)))
    learner = Learner(policy=found.data)
    assert learner.algorithm == "stream-q" and found.critic is None
    x = normal(4)
    assert learner.infer(x) == int(np.argmax(made.run_dense(state, "q_net.q_net.", x, relu)))


def test_qr_dqn_goes_on_by_its_expected_values(tmp_path):
    state = made.dense(RNG, (4, 8, 15), "quantile_net.quantile_net.")
    found = converted(tmp_path, made.sb3_zip(state, made.box(-np.inf, np.inf, (4,)), made.space("Discrete", n=3)))
    learner, x = Learner(policy=found.data, kappa_value=1.0), normal(30, 4)
    q = made.run_dense(state, "quantile_net.quantile_net.", x, relu).reshape(30, 5, 3).mean(1)
    assert learner.algorithm == "stream-q"
    choice = learner.act(x[0])
    update = learner.update(x[1], 1.0)
    close([update.value, update.next_value], [q[0, choice], q[1].max()])
    for s in x[2:]:
        learner.act(s)
        learner.update(s, RNG.normal())
    learner.export(tmp_path / "again.safetensors")
    again = Learner(policy=tmp_path / "again.safetensors")
    assert [learner.infer(s) for s in x] == [again.infer(s) for s in x]
    name = "critic.w.quantile_net.quantile_net.2.weight"
    assert not np.array_equal(learner[name], state[name.removeprefix("critic.w.")])
    np.testing.assert_array_equal(learner[name], again[name])


# ---- rsl_rl and CleanRL ----

def rsl_rl(form, width=6, **more):
    actor, critic = made.dense(RNG, (6, 8, 3), "mlp."), made.dense(RNG, (width, 8, 1), "mlp.")
    statistics = [{"obs_normalizer._mean": normal(1, n), "obs_normalizer._std": np.abs(normal(1, n)) + 1}
                  for n in (6, width)]
    spread = np.abs(normal(3)) + 0.1
    if form == 5:
        root = {"actor_state_dict": actor | statistics[0] | {"distribution.std_param": spread},
                "critic_state_dict": critic | statistics[1], "iter": 1}
    else:
        rename = lambda d, new: {k.replace("mlp.", new): v for k, v in d.items()}
        root = {"model_state_dict": rename(actor, "actor.") | rename(critic, "critic.") | {"std": spread}
                | {f"actor_{k}": v for k, v in statistics[0].items()}
                | {f"critic_{k}": v for k, v in statistics[1].items()}, "iter": 1}
    return root, actor, critic, statistics, spread


@pytest.mark.parametrize("form", [5, 3])
def test_rsl_rl_brings_its_value_and_its_std(tmp_path, form):
    root, actor, critic, statistics, spread = rsl_rl(form)
    converted(tmp_path, made.torch_file(root))
    x = normal(8, 6)
    norm = [(x - s["obs_normalizer._mean"]) / (s["obs_normalizer._std"] + 1e-2) for s in statistics]
    actions, here, there, found = values(tmp_path, x)
    v = made.run_dense(critic, "mlp.", norm[1], elu)[:, 0]
    close(actions, made.run_dense(actor, "mlp.", norm[0], elu)[:-1])
    close(here, v[:-1])
    close(there, v[1:])
    close(found, spread.mean())


def test_a_critic_that_sees_more_than_the_robot_is_left_out_and_said(tmp_path):
    found = converted(tmp_path, made.torch_file(rsl_rl(5, width=9)[0]))
    assert found.critic is None and not critic_path(tmp_path / "policy.safetensors").exists()
    assert any("observes 9 numbers and the policy 6" in n for n in found.notes)
    Learner(policy=found.data).act(np.ones(6))


def test_cleanrl_ppo(tmp_path):
    state = made.dense(RNG, (5, 8, 2), "actor_mean.") | made.dense(RNG, (5, 8, 1), "critic.")
    state |= {"actor_logstd": normal(1, 2)}
    converted(tmp_path, made.torch_file(state))
    x = normal(8, 5)
    actions, here, _, spread = values(tmp_path, x)
    close(actions, made.run_dense(state, "actor_mean.", x, tanh)[:-1])
    close(here, made.run_dense(state, "critic.", x, tanh)[:-1, 0])
    close(spread, np.exp(state["actor_logstd"]).mean())


@pytest.mark.parametrize("kind", ["fc_mu", "fc_mean"])
def test_cleanrl_td3_and_sac(tmp_path, kind):
    actor = linear("fc1", 8, 5) | linear("fc2", 8, 8) | linear(kind, 2, 8)
    actor |= {"action_scale": np.array([[2.0, 0.5]], np.float32), "action_bias": np.array([[0.0, 1.0]], np.float32)}
    if kind == "fc_mean":
        actor |= linear("fc_logstd", 2, 8)
    qs = [linear("fc1", 8, 7) | linear("fc2", 8, 8) | linear("fc3", 1, 8) for _ in range(2)]

    def two(state, x):
        return relu(run_linear(state, "fc2", relu(run_linear(state, "fc1", x))))

    converted(tmp_path, made.torch_file((actor, *qs)))
    x = normal(8, 5)
    a = np.tanh(run_linear(actor, kind, two(actor, x))) * [2, 0.5] + [0, 1]
    v = np.minimum(*(run_linear(q, "fc3", two(q, np.hstack([x, a])))[:, 0] for q in qs))
    actions, here, _, spread = values(tmp_path, x)
    close(actions, a[:-1])
    close(here, v[:-1])
    if kind == "fc_mean":
        log_std = -5 + 3.5 * (np.tanh(run_linear(actor, "fc_logstd", two(actor, x))) + 1)
        close(spread, np.exp(log_std).mean(1)[:-1])


def skrl(shared):
    """A checkpoint of PPO: two models, or one that stands in the file as policy and as value, with both heads."""
    body = made.dense(RNG, (6, 8, 8), "net_container.")
    if shared:
        both = body | linear("policy_layer", 2, 8) | linear("value_layer", 1, 8) | {"log_std_parameter": normal(2)}
        policy, value = both, dict(both)
    else:
        policy = body | linear("policy_layer", 2, 8) | {"log_std_parameter": normal(2)}
        value = made.dense(RNG, (6, 8, 8), "net_container.") | linear("value_layer", 1, 8)
    seen = {"running_mean": RNG.normal(size=6), "running_variance": RNG.uniform(0.1, 4, 6),
            "current_count": np.array([9.0])}
    gain = {"running_mean": np.array([-7.0]), "running_variance": np.array([30.0]), "current_count": np.array([9.0])}
    return {"policy": policy, "value": value, "observation_preprocessor": seen, "value_preprocessor": gain,
            "optimizer": {}}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("scale", [None, 0.1])
def test_skrl_ppo(tmp_path, shared, scale):
    root = skrl(shared)
    found = converted(tmp_path, made.torch_file(root), activation="elu", reward_scale=scale)
    assert ("rewards: as they are" in " ".join(found.notes)) == (scale is None)
    x = normal(8, 6)
    seen, gain = root["observation_preprocessor"], root["value_preprocessor"]
    scaled = np.clip((x - seen["running_mean"]) / (np.sqrt(seen["running_variance"]) + 1e-8), -5, 5)

    def run(state, head):
        return run_linear(state, head, elu(made.run_dense(state, "net_container.", scaled, elu)))

    v = run(root["value"], "value_layer")[:, 0]
    assert np.abs(v).max() < 5  # skrl's limit, which is not in the file
    actions, here, there, spread = values(tmp_path, x)
    close(actions, run(root["policy"], "policy_layer")[:-1])
    wanted = (np.sqrt(30.0) * v - 7) / (scale or 1)
    close(here, wanted[:-1])
    close(there, wanted[1:])
    close(spread, np.exp(root["policy"]["log_std_parameter"]).mean())


def test_a_scaled_critic_in_bfloat16_is_widened_first(tmp_path):
    root = skrl(False)
    bits = {k: (v.view(np.uint32) >> 16).astype(np.uint16) for k, v in root["value"].items()}
    root["value"] = {k: (v.astype(np.uint32) << 16).view(np.float32) for k, v in bits.items()}
    wide = efferent.convert(write(tmp_path, root), learnable=True, reward_scale=0.1).critic
    root["value"] = {k: {"bf16": v} for k, v in bits.items()}
    narrow = efferent.convert(write(tmp_path, root), learnable=True, reward_scale=0.1).critic
    found = []
    for i, data in enumerate((wide, narrow)):
        (tmp_path / f"{i}.safetensors").write_bytes(data)
        session = efferent.Policy(tmp_path / f"{i}.safetensors").session()
        found.append(session.run({"obs": np.ones((1, 6))})["value"])
    close(*found)


def write(tmp_path, root):
    (tmp_path / "checkpoint").write_bytes(made.torch_file(root))
    return tmp_path / "checkpoint"


def test_skrl_a_critic_that_observes_more_stays_behind(tmp_path):
    root = skrl(False)
    root["value"] = made.dense(RNG, (9, 8, 8), "net_container.") | linear("value_layer", 1, 8)
    found = converted(tmp_path, made.torch_file(root), activation="elu")
    assert found.critic is None and any("observes 9 numbers and the policy 6" in note for note in found.notes)


def test_a_reward_scale_is_refused_where_nothing_reads_it(tmp_path):
    with pytest.raises(efferent.ArgumentError, match="reward_scale is for the critic of skrl"):
        converted(tmp_path, made.torch_file(linear("actor_mean.0", 2, 5) | linear("critic.0", 1, 5)), reward_scale=0.1)
    for scale in (0.0, -1.0, np.nan):
        with pytest.raises(efferent.ArgumentError, match="expected a number above 0"):
            converted(tmp_path, made.torch_file(skrl(True)), reward_scale=scale)


def test_an_actor_alone_says_what_it_lacks(tmp_path):
    actor = linear("fc1", 8, 5) | linear("fc2", 8, 8) | linear("fc_mu", 2, 8)
    actor |= {"action_scale": np.ones((1, 2), np.float32), "action_bias": np.zeros((1, 2), np.float32)}
    found = converted(tmp_path, made.torch_file(actor))
    assert {"critic: the checkpoint has the actor alone"} < set(found.notes) and found.critic is None


# ---- files of the trainers themselves, where they are at hand ----

@pytest.mark.skipif(FOLDER is None or not FOLDER.is_dir(), reason="no zoo here")
@pytest.mark.parametrize("name, normalizer, has_critic", [
    ("sb3_ppo.zip", "sb3_ppo_vecnormalize.pkl", True), ("sb3_sac.zip", None, True), ("rslrl5_mlp.pt", None, True),
    ("rslrl5_rnn.pt", None, False), ("rslrl_legacy.pt", None, False), ("skrl_agent.pt", None, False)])
def test_checkpoints_of_trainers_go_on_learning(tmp_path, name, normalizer, has_critic):
    output = tmp_path / "policy.safetensors"
    found = efferent.convert(FOLDER / name, output, normalizer=FOLDER / normalizer if normalizer else None,
                             learnable=True)
    assert (found.critic is not None) == has_critic == critic_path(output).exists()
    learner = Learner(policy=output, critic=critic_path(output) if has_critic else None)
    wanted = np.load(FOLDER / f"{name.split('.')[0]}.npz")
    if "rnn" not in name:
        for x, action in zip(wanted["obs"], wanted["action"]):
            close(learner.infer(x), action)
    for x in normal(20, learner.observations):
        learner.act(x)
        learner.update(normal(learner.observations), 1.0)


def test_the_command_writes_two_files_and_says_how_to_go_on(tmp_path):
    (tmp_path / "a.zip").write_bytes(made.sb3_zip(ppo(), made.box(-np.inf, np.inf, (4,)), LIMITS))
    run = lambda *arguments: subprocess.run([sys.executable, "-m", "efferent", *map(str, arguments)],
                                            capture_output=True, text=True)
    good = run("convert", tmp_path / "a.zip", "-o", tmp_path / "p.safetensors", "--learnable")
    assert good.returncode == 0 and "critic: the value network" in good.stdout, good.stdout + good.stderr
    assert (tmp_path / "p.critic.safetensors").exists() and "efferent.Learner(" in good.stdout
    again = run("convert", tmp_path / "a.zip", "-o", tmp_path / "p.safetensors", "--learnable")
    assert again.returncode != 0 and "is there already" in again.stderr


def pendulum(tmp_path):
    """A hand-made policy that swings nothing up, and a critic, as SB3 has them."""
    state = {"mlp_extractor.policy_net.0.weight": np.eye(4, dtype=np.float32), "log_std": np.array([-2], np.float32),
             "mlp_extractor.policy_net.0.bias": np.zeros(4, np.float32),
             "action_net.weight": np.array([[-0.5, 4, -0.5, 1]], np.float32), "action_net.bias": np.zeros(1, np.float32)}
    state |= made.dense(RNG, (4, 8), "mlp_extractor.value_net.") | linear("value_net", 1, 8)
    path = tmp_path / "a.zip"
    path.write_bytes(made.sb3_zip(state, made.box(-np.inf, np.inf, (4,)), made.box([-3], [3]), gamma=0.9))
    return path


def test_the_report_says_what_was_before_and_after_the_switch(tmp_path):
    pytest.importorskip("mujoco")
    pytest.importorskip("gymnasium")
    from efferent.lab import switch_report

    output = tmp_path / "p.safetensors"
    efferent.convert(pendulum(tmp_path), output, learnable=True)
    found = switch_report(output, "InvertedPendulum-v5", critic_path(output), steps=400, episodes=2, kappa_value=0.5)
    assert found.before.returns != [] and found.moved > 0 and found.steps == 400
    # the values of a critic that was never trained are far off, and less so afterwards
    assert found.after.spread < found.before.spread and len(found.lines()) == 4
    again = switch_report(output, "InvertedPendulum-v5", critic_path(output), steps=400, episodes=2, kappa_value=0.5)
    assert again.before.returns == found.before.returns and again.after.returns == found.after.returns


@pytest.mark.skipif(FOLDER is None or not FOLDER.is_dir(), reason="no zoo here")
def test_recorded_actions_are_compared(tmp_path):
    run = lambda *arguments: subprocess.run([sys.executable, "-m", "efferent", *map(str, arguments)],
                                            capture_output=True, text=True)
    good = run("convert", FOLDER / "sb3_sac.zip", "-o", tmp_path / "p.safetensors", "--learnable", "--recorded",
               FOLDER / "sb3_sac.npz")
    assert good.returncode == 0 and "8 recorded actions: at most" in good.stdout, good.stdout + good.stderr
    np.savez(tmp_path / "other.npz", obs=normal(3, 9), action=normal(3, 2))
    bad = run("convert", FOLDER / "sb3_sac.zip", "-o", tmp_path / "q.safetensors", "--recorded", tmp_path / "other.npz")
    assert bad.returncode != 0 and "do not go with the policy" in bad.stderr
