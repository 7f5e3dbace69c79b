"""The pipeline of a learner's rewards: networks against onnxruntime, what shaping keeps, the bonus against numpy, and
sums of rewards within a step against closed forms."""
import math

import efferent
import models
import numpy as np
import onnxruntime
import pytest
from efferent.errors import ArgumentError, MismatchError, StateError, UnsupportedError
from onnx import helper

N, A = 5, 3


def judge(inputs=(("obs", N), ("act", A), ("next_obs", N)), outputs=1, seed=0):
    """tanh(concat(inputs) W) v, as bytes of a file."""
    width = sum(n for _, n in inputs)
    weights = {"w": models.normal(seed, width, 8), "v": models.normal(seed + 1, 8, outputs, scale=1)}
    nodes = [helper.make_node("Concat", [name for name, _ in inputs], ["x"], axis=1),
             helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Tanh", ["y"], ["z"]),
             helper.make_node("MatMul", ["z", "v"], ["score"])]
    return models.model(nodes, [(name, models.T.FLOAT, [1, n]) for name, n in inputs],
                        [("score", models.T.FLOAT, [1, outputs])], weights).SerializeToString()


def logarithm():
    """log(sum of the observation): not a number where that is negative."""
    nodes = [helper.make_node("ReduceSum", ["obs"], ["sum"], keepdims=1), helper.make_node("Log", ["sum"], ["score"])]
    made = models.model(nodes, [("obs", models.T.FLOAT, [1, N])], [("score", models.T.FLOAT, [1, 1])])
    return made.SerializeToString()


def walk(learner, steps, seed=0, **given):
    """Acts and learns on noise; yields (s, a, r, s', terminated, truncated, update)."""
    rng = np.random.default_rng(seed)
    s = rng.normal(size=learner.observations)
    for i in range(steps):
        a = learner.act(s)
        following, reward = 0.9 * s + rng.normal(size=s.size), float(rng.normal())
        terminated, truncated = i % 17 == 16, i % 23 == 22
        told = learner.update(following, reward, terminated, truncated, **given)
        yield s, a, reward, following, terminated, truncated, told
        s = rng.normal(size=s.size) if terminated or truncated else following


@pytest.mark.parametrize("algorithm", ["stream-ac", "stream-ac-discrete", "stream-q", "stream-td"])
def test_without_a_stage_every_bit_is_as_without_a_pipeline(algorithm):
    plain, empty = (efferent.Learner(N, 0 if algorithm == "stream-td" else A, algorithm, rewards=r) for r in (None, {}))
    for one, two in zip(walk(plain, 300), walk(empty, 300)):
        assert one[-1].td_error == two[-1].td_error and np.array_equal(one[1], two[1])
    assert all(np.array_equal(plain[name], empty[name]) for name in plain.shapes)
    assert plain.shapes == empty.shapes


@pytest.mark.parametrize("mode", ["add", "replace"])
@pytest.mark.parametrize("algorithm,width", [("stream-ac", A), ("stream-q", A), ("stream-q", 1)])
def test_a_reward_network_gives_what_onnxruntime_gives(mode, algorithm, width):
    file = judge((("obs", N), ("act", width), ("next_obs", N)))
    session = onnxruntime.InferenceSession(file)
    learner = efferent.Learner(N, A, algorithm, no_reward_scaling=1,
                               rewards={"network": file, "network_mode": mode, "network_weight": 0.5})
    for s, a, reward, following, _, _, told in walk(learner, 60):
        if algorithm == "stream-q":
            a = np.eye(A)[a] if width == A else np.array([a])
        row = lambda x: np.float32(x)[None]  # noqa: E731
        score = session.run(None, {"obs": row(s), "act": row(a), "next_obs": row(following)})[0][0, 0]
        shares = told.reward
        assert shares.network == pytest.approx(0.5 * score, rel=1e-5, abs=1e-6)
        assert shares.raw == (reward if mode == "add" else 0)
        assert told.scaled_reward == shares.total == shares.raw + shares.network
    assert told.reward_size.network > 0


def test_the_action_that_was_done_is_what_the_network_sees():
    file = judge((("act", A),))
    session = onnxruntime.InferenceSession(file)
    learner = efferent.Learner(N, A, rewards={"network": file, "network_mode": "replace"})
    done = np.array([0.3, -2, 1])
    learner.act(np.zeros(N))
    told = learner.update(np.ones(N), 7, action=done)
    assert told.reward.total == pytest.approx(session.run(None, {"act": np.float32(done)[None]})[0][0, 0], rel=1e-5)


def test_inputs_are_named_by_the_caller_where_their_names_say_nothing():
    file = judge((("a", N), ("b", N)))
    session = onnxruntime.InferenceSession(file)
    with pytest.raises(MismatchError, match="input 'a' is neither observation, action nor next"):
        efferent.Learner(N, A, rewards={"network": file, "network_mode": "add"})
    learner = efferent.Learner(N, A, rewards={"network": file, "network_mode": "replace", "network_next": "a",
                                              "network_observation": "b"})
    for s, _, _, following, _, _, told in walk(learner, 5):
        score = session.run(None, {"a": np.float32(following)[None], "b": np.float32(s)[None]})[0][0, 0]
        assert told.reward.total == pytest.approx(score, rel=1e-5, abs=1e-6)


def test_a_score_that_is_not_finite_refuses_the_transition():
    for stage in ({"network": logarithm(), "network_mode": "add"}, {"potential": logarithm()}):
        learner = efferent.Learner(N, A, rewards=stage, snapshots=2)
        learner.act(np.ones(N))
        assert learner.update(np.ones(N), 1.0).reason == 0
        before = {name: learner[name] for name in learner.shapes if ".e." not in name and "return_trace" not in name}
        learner.act(np.ones(N))
        bad = -np.ones(N)
        if "network" in stage:
            learner.act(bad)
        told = learner.update(bad, 1.0)
        assert learner.reason == "bad input" and told.bad_inputs == 1 and told.updates == 1
        assert not math.isfinite(told.reward.network + told.reward.shaping)
        for name, value in before.items():
            assert np.array_equal(learner[name], value), name
        learner.act(np.ones(N))
        assert learner.update(np.ones(N), 1.0).reason == 0


@pytest.mark.parametrize("rewards,error,text", [
    ({"network": judge()}, ArgumentError, "'network_mode' must be EFF_REWARD_ADD or EFF_REWARD_REPLACE"),
    ({"network": judge((("obs", 4),)), "network_mode": "add"}, MismatchError, "'obs' has 4 numbers, expected 5"),
    ({"network": judge((("obs", N),), outputs=2), "network_mode": "add"}, MismatchError, "'score' has 2 numbers"),
    ({"network": models.lstm(N).SerializeToString(), "network_mode": "add"}, MismatchError, "input 'h_in' is neither"),
    ({"network": judge(), "network_mode": "add", "network_action": "x"}, MismatchError, "'x', but the network has inp"),
    ({"network": judge(), "network_mode": "add", "network_next": "obs"}, MismatchError, "'obs' is named for several"),
    ({"network": judge(), "network_mode": "add", "network_output": "y"}, MismatchError, "no output 'y'.*'score'"),
    ({"potential": judge()}, MismatchError, "'potential' has inputs 'obs', 'act', 'next_obs', expected"),
    ({"potential_linear": [1, 2]}, ArgumentError, "'potential_linear' has 2 numbers, expected 5"),
    ({"potential_linear": [math.nan] * N}, ArgumentError, "'potential_linear' must be finite"),
    ({"potential_bias": 1}, ArgumentError, "'potential_bias' must be 0 without"),
    ({"bonus": -1}, ArgumentError, "'bonus' must be not negative"),
    ({"bonus": 1, "bonus_step_size": 0}, ArgumentError, "'bonus_step_size'"),
    ({"clip": math.nan}, ArgumentError, "'clip'"),
    ({"wrong": 1}, ArgumentError, "no reward option 'wrong'"),
])
def test_what_cannot_be_is_refused_by_name(rewards, error, text):
    with pytest.raises(error, match=text):
        efferent.Learner(N, A, rewards=rewards)


def test_a_prediction_has_no_action_to_judge():
    with pytest.raises(MismatchError, match="'act' is an action, but TD predicts without actions"):
        efferent.Learner(N, 0, "stream-td", rewards={"network": judge(), "network_mode": "add"})


@pytest.mark.parametrize("form", ["linear", "network", "both"])
def test_shaping_telescopes(form):
    """The discounted sum of an episode is gamma^T phi(s_T) - phi(s_0), without the first term at termination; dt
    included."""
    file, linear, gamma, nominal = judge((("obs", N),)), np.arange(N) / 7 - 0.3, 0.97, 0.02
    session = onnxruntime.InferenceSession(file)
    stage = {"potential_scale": 1.5}
    if form != "network":
        stage |= {"potential_linear": linear, "potential_bias": 0.25}
    if form != "linear":
        stage |= {"potential": file}

    def phi(x):
        net = session.run(None, {"obs": np.float32(x)[None]})[0][0, 0]
        return (0 if form == "linear" else net) + (0 if form == "network" else linear @ x + 0.25)

    learner = efferent.Learner(N, A, gamma=gamma, nominal_dt=nominal, rewards=stage)
    for dt in (0.0, 0.05):
        step = 1 if dt == 0 else dt / nominal
        total, discount, start = 0.0, 1.0, None
        for s, _, reward, following, terminated, truncated, told in walk(learner, 200, dt=dt):
            start = s if start is None else start
            assert told.reward.raw == reward and told.reward.total == reward + told.reward.shaping
            total += discount * told.reward.shaping
            discount *= gamma**step
            if terminated or truncated:
                end = 0 if terminated else discount * phi(following)
                bound = 1e-13 if form == "linear" else 1e-5
                assert total == pytest.approx(1.5 * (end - phi(start)), rel=bound, abs=bound)
                total, discount, start = 0.0, 1.0, None


class Chain:
    """A grid of 4 x 4 with a trap beside the goal; its states one-hot. Right, left, down, up; what bumps stays."""

    side, gamma = 4, 0.9
    count = side * side

    def step(self, s, a):
        """(s', reward, terminated)"""
        row, column = divmod(s, self.side)
        row += (a == 2) - (a == 3)
        column += (a == 0) - (a == 1)
        if 0 <= row < self.side and 0 <= column < self.side:
            s = row * self.side + column
        if s == self.count - 1:
            return s, 1.0, True
        if s == self.count - 2:
            return s, -1.0, True
        return s, -0.01, False

    def best(self, phi=None, ends=0.0):
        """Of each state that does not end an episode, the optimal actions, by value iteration; with a potential whose
        value where an episode ends counts by the factor `ends`."""
        v, phi = np.zeros(self.count), np.zeros(self.count) if phi is None else phi
        for _ in range(500):
            q = np.array([[r + self.gamma * (ends * phi[n] if end else phi[n] + v[n]) - phi[s]
                           for n, r, end in (self.step(s, a) for a in range(4))] for s in range(self.count)])
            v = q.max(1)
        return {s: np.flatnonzero(q[s] > q[s].max() - 1e-9) for s in range(self.count - 2)}


@pytest.mark.parametrize("name", ["none", "away from the goal", "random"])
def test_shaping_keeps_what_is_optimal(name):
    """Q on a small grid finds the policy of value iteration, also where the potential points away from the goal."""
    grid = Chain()
    rng = np.random.default_rng(3)
    phi = {"none": None, "away from the goal": -2 * np.array([sum(divmod(s, 4)) / 6 for s in range(16)]),
           "random": np.append(rng.normal(size=14), [2, -2])}[name]
    rewards = None if phi is None else {"potential_linear": phi}
    learner = efferent.Learner(16, 4, "stream-q", gamma=grid.gamma, epsilon_start=0.6, epsilon_end=0.6, dtype="f64",
                               no_observation_norm=1, seed=1, rewards=rewards)
    states, best = np.eye(16), grid.best()
    if phi is not None:  # as the theory has it; with phi where an episode ends another policy would be the best one
        assert {s: list(a) for s, a in grid.best(phi).items()} == {s: list(a) for s, a in best.items()}
        assert any(not set(a) <= set(best[s]) for s, a in grid.best(phi, 1.0).items())
    s = 0
    for i in range(30000):
        a = learner.act(states[s])
        n, r, end = grid.step(s, a)
        learner.update(states[n], r, end, i % 50 == 49)
        s = int(rng.integers(14)) if end or i % 50 == 49 else n
    wrong = [s for s in best if learner.infer(states[s]) not in best[s]]
    assert not wrong


class Distillation:
    """The bonus in plain numpy: arXiv 1810.12894 step by step, Adam without momentum for the predictor."""

    def __init__(self, learner, weight=0.3, step=1e-3, gamma=0.95, limit=2.0):
        self.nets = [[(learner[f"{net}.w.{layer}.weight"], learner[f"{net}.w.{layer}.bias"])
                      for layer in ("l1", "l2", "out")] for net in ("target", "predictor")]
        self.v = [(np.zeros_like(w), np.zeros_like(b)) for w, b in self.nets[1]]
        self.weight, self.step, self.gamma, self.limit = weight, step, gamma, limit
        self.count, self.trace, self.traces = 0, 0.0, []

    def forward(self, net, x):
        seen = [x]
        for i, (w, b) in enumerate(net):
            x = w @ x + b
            if i < 2:
                x = np.where(x > 0, x, 0.01 * x)
            seen.append(x)
        return seen

    def bonus(self, x, learns=True):
        x = np.clip(x, -self.limit, self.limit)
        wanted, seen = self.forward(self.nets[0], x)[-1], self.forward(self.nets[1], x)
        error = np.mean((seen[-1] - wanted) ** 2)
        if learns:
            self.count += 1
            d, grads = 2 * (seen[-1] - wanted) / wanted.size, []
            for i in (2, 1, 0):
                w, _ = self.nets[1][i]
                grads.insert(0, (np.outer(d, seen[i]), d))
                d = w.T @ d
                if i:
                    d = d * np.where(seen[i] > 0, 1, 0.01)
            for i, (pair, moments) in enumerate(zip(grads, self.v)):
                moments = tuple(0.999 * v + 0.001 * g * g for v, g in zip(moments, pair))
                self.v[i] = moments
                hat = 1 - 0.999**self.count
                self.nets[1][i] = tuple(w - self.step * g / np.sqrt(v / hat + 1e-8)
                                        for w, g, v in zip(self.nets[1][i], pair, moments))
            self.trace = self.gamma * self.trace + error
            self.traces.append(self.trace)
        scale = np.var(self.traces, ddof=1) if self.count > 1 else 1.0
        return self.weight * error / np.sqrt(scale + 1e-8)


BONUS = {"bonus": 0.3, "bonus_step_size": 1e-3, "bonus_gamma": 0.95, "bonus_limit": 2, "bonus_hidden": [12, 7],
         "bonus_features": 6}


@pytest.mark.parametrize("algorithm", ["stream-ac", "stream-q"])
def test_the_bonus_is_random_network_distillation(algorithm):
    learner = efferent.Learner(N, A, algorithm, dtype="f64", rewards=BONUS, seed=4)
    own, bonuses = Distillation(learner), []
    for i, (_, _, reward, following, _, _, told) in enumerate(walk(learner, 700)):
        if i in (300, 340):  # from the next update on
            learner.freeze(*(["normalizers"] if i == 300 else []))
        x = (following - learner["obsnorm.mean"]) / np.sqrt(
            learner["obsnorm.m2"] / (learner["obsnorm.count"] - 1) + 1e-8)
        wanted = own.bonus(x, learns=not 301 <= i <= 340)
        assert told.reward.bonus == pytest.approx(wanted, rel=1e-10, abs=1e-12)
        assert told.reward.total == reward + told.reward.bonus
        bonuses.append(told.reward.bonus)
    for i, layer in enumerate(("l1", "l2", "out")):
        np.testing.assert_allclose(learner[f"predictor.w.{layer}.weight"], own.nets[1][i][0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(learner[f"predictor.w.{layer}.bias"], own.nets[1][i][1], rtol=0, atol=1e-12)
        assert np.array_equal(learner[f"target.w.{layer}.weight"], own.nets[0][i][0])
    # what is seen again and again is no longer new
    assert np.mean(bonuses[-100:]) < 0.5 * np.mean(bonuses[:100])


def test_the_seed_decides_the_networks_of_the_bonus_and_leaves_the_others_alone():
    one, two, other = (efferent.Learner(N, A, seed=seed, rewards=BONUS) for seed in (1, 1, 2))
    plain = efferent.Learner(N, A, seed=1)
    assert np.array_equal(one["target.w.l1.weight"], two["target.w.l1.weight"])
    assert not np.array_equal(one["target.w.l1.weight"], other["target.w.l1.weight"])
    assert not np.array_equal(one["target.w.l1.weight"], one["predictor.w.l1.weight"])
    assert all(np.array_equal(one[name], plain[name]) for name in plain.shapes)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_checkpoint_goes_on_bit_for_bit(dtype):
    stages = BONUS | {"network": judge(), "network_mode": "add", "potential_linear": np.ones(N), "clip": 3}
    make = lambda seed: efferent.Learner(N, A, dtype=dtype, seed=seed, rewards=stages)  # noqa: E731
    learner, other = make(1), make(2)
    list(walk(learner, 200))
    blob = bytes(learner)
    wanted = [(u.td_error, u.reward.bonus, u.reward_size.total) for *_, u in walk(learner, 200, seed=9)]
    end = bytes(learner)
    other.restore_bytes(blob)
    assert wanted == [(u.td_error, u.reward.bonus, u.reward_size.total) for *_, u in walk(other, 200, seed=9)]
    assert bytes(other) == end
    for foreign in (None, {}, BONUS | {"bonus_features": 7}):
        with pytest.raises(MismatchError):
            efferent.Learner(N, A, dtype=dtype, rewards=foreign).restore_bytes(blob)


def test_clip_takes_what_is_beyond():
    learner = efferent.Learner(N, A, no_reward_scaling=1, rewards={"clip": 0.5})
    for *_, told in walk(learner, 100):
        raw = told.reward.raw
        assert told.scaled_reward == told.reward.total == min(max(raw, -0.5), 0.5)
        assert told.reward.clip == told.reward.total - raw


def test_guards_watch_the_reward_of_the_task():
    stage = {"network": judge(), "network_mode": "add", "potential_linear": np.ones(N), "bonus": 5.0, "clip": 0.01}
    learner, returns = efferent.Learner(N, A, return_rate=1.0, rewards=stage), 0.0
    for *_, terminated, truncated, told in walk(learner, 100):
        returns += told.reward.raw + told.reward.network
        if terminated or truncated:
            assert told.running_return == pytest.approx(returns, rel=1e-12)
            returns = 0.0


def test_its_arena_is_all_that_a_learner_needs():
    """Sessions of loaded networks lie in the arena of the learner, which grows by theirs."""
    from ctypes import byref, c_size_t, sizeof

    from efferent._library import check, lib
    from efferent._table_learner import eff_learner_options
    from efferent.rewards import reward_options

    def size(rewards):
        o, found = eff_learner_options(), c_size_t()
        lib.eff_learner_options_default(byref(o), sizeof(o))
        o.observation_count, o.action_count = N, A
        if rewards is not None:
            made, kept = reward_options(rewards)
            o.rewards = type(o.rewards)(made)
        check(lib.eff_learner_arena_size(byref(o), byref(found)))
        return found.value

    policy, session = efferent.Policy(judge((("obs", N),))), c_size_t()
    check(lib.eff_session_arena_size(policy._handle.value, None, byref(session)))
    assert size({"potential": policy}) >= size({}) + session.value > size({}) >= size(None)


# ---- sums within a step ----


def integral(polynomial, a, b):
    p = np.polynomial.Polynomial(polynomial).integ()
    return p(b) - p(a)


@pytest.mark.parametrize("intervals", [1, 2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("rule,degree", [("trapezoid", 1), ("simpson", 3)])
def test_a_sum_is_exact_for_what_its_rule_joins(intervals, rule, degree):
    rewards, p = efferent.RewardSum(rule, gamma=0.9), [0.3, -1.0, 2.0, 0.7][: degree + 1]
    if rule == "simpson" and intervals < 3:
        p = p[: intervals + 1]
    if rule == "simpson" and intervals == 2:
        p = p + [0.7]  # a cubic, by symmetry
    start = 10.0
    for _ in range(3):  # steps follow each other, the last sample of one is the first of the next
        times = start + np.linspace(0, 0.8, intervals + 1)
        for t in times if start == 10.0 else times[1:]:
            rewards.add(np.polynomial.Polynomial(p)(t), t)
        reward, dt = rewards.take()
        assert dt == pytest.approx(0.8, rel=1e-12)
        assert reward == pytest.approx(integral(p, start, times[-1]), rel=1e-11)
        start = times[-1]


def test_uneven_samples_are_joined_by_parabolas_until_one_would_count_negatively():
    square = [0.5, -2.0, 3.0]
    f = np.polynomial.Polynomial(square)
    for times in ([0, 0.3, 0.8], [0, 0.3, 0.8, 1.1], [0, 0.2, 0.55, 0.8, 1.2], [0, 0.2, 0.55, 0.8, 1.2, 1.7]):
        rewards = efferent.RewardSum("simpson")
        for t in times:
            rewards.add(f(t), t)
        assert rewards.take()[0] == pytest.approx(integral(square, 0, times[-1]), rel=1e-12)
    for times in ([0, 0.1, 1.0], [0, 1.0, 1.1], [0, 0.01, 1.0, 1.01, 2.0]):
        rewards = efferent.RewardSum("simpson")
        for t in times:
            rewards.add(f(t), t)
        assert rewards.take()[0] == pytest.approx(np.trapezoid(f(np.array(times)), times), rel=1e-12)
    # whatever the times: constants are exact, and a rate that is never negative gives no negative reward
    rng = np.random.default_rng(0)
    for _ in range(500):
        times = np.cumsum(rng.lognormal(0, 2, size=rng.integers(2, 9)))
        values = rng.uniform(0, 1, times.size) * rng.integers(0, 2, times.size)
        one, two = efferent.RewardSum("simpson"), efferent.RewardSum("simpson")
        for t, x in zip(times, values):
            one.add(1.0, t)
            two.add(x, t)
        assert one.take()[0] == pytest.approx(times[-1] - times[0], rel=1e-9)
        assert two.take()[0] >= 0


def test_a_sum_is_discounted_as_transitions_are():
    """Steps of any length, summed as a learner discounts them, give the integral of gamma^(t / nominal) rate(t)."""
    gamma, nominal, rate = 0.95, 0.02, 2.0
    rng = np.random.default_rng(1)
    for rule, bound in (("trapezoid", 1e-5), ("simpson", 1e-11)):
        rewards = efferent.RewardSum(rule, gamma, nominal)
        now, total, discount = 5.0, 0.0, 1.0
        rewards.add(rate, now)
        for _ in range(200):
            for _ in range(rng.integers(4, 12)):
                now += 0.001
                rewards.add(rate, now)
            reward, dt = rewards.take()
            total += discount * reward
            discount *= gamma ** (dt / nominal)
        k = math.log(gamma) / nominal
        exact = rate * (math.exp(k * (now - 5.0)) - 1) / k
        assert total == pytest.approx(exact, rel=bound)
    # a nominal step of a constant reward r, given as the rate r / nominal
    rewards = efferent.RewardSum("simpson", 1.0, nominal)
    for i in range(3):
        rewards.add(3.0 / nominal, i * nominal / 2)
    assert rewards.take() == (pytest.approx(3.0, rel=1e-12), pytest.approx(nominal))


def test_a_sum_refuses_what_it_cannot_use():
    with pytest.raises(ArgumentError, match="rule is 'euler'"):
        efferent.RewardSum("euler")
    for gamma, nominal in ((1.1, 0), (math.nan, 0), (0.9, -1), (0.9, math.inf)):
        with pytest.raises(ArgumentError, match="gamma must be in"):
            efferent.RewardSum("simpson", gamma, nominal)
    rewards = efferent.RewardSum("simpson")
    with pytest.raises(StateError, match="two samples"):
        rewards.take()
    rewards.add(1.0, 1.0)
    for time in (1.0, 0.5, math.nan, math.inf):
        with pytest.raises(ArgumentError, match="time is"):
            rewards.add(1.0, time)
    rewards.add(1.0, 2.0)
    assert rewards.take() == (1.0, 1.0)
    rewards.add(math.nan, 3.0)
    rewards.add(1.0, 4.0)
    assert math.isnan(rewards.take()[0])
    rewards.add(1.0, 5.0)
    assert rewards.take() == (1.0, 1.0)
