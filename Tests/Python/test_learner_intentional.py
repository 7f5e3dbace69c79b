"""Intentional updates and what this library adds to them, against a transcription to numpy that was written from the
equations in learner.h and in ../shared/golden/stream_x alone."""
import numpy as np
import pytest
from efferent.learner import Learner

SLOPE, GAMMA, LAMBDA, ENTROPY = 0.01, 0.99, 0.8, 0.01


class Net:
    """Layers with layer normalization and leaky relu; the last is linear. Takes its weights from a learner."""

    def __init__(self, learner, name):
        self.name, layers = name, []
        while f"{name}.w.l{len(layers) + 1}.weight" in learner.shapes:
            layers.append(f"l{len(layers) + 1}")
        self.layers = [*layers, "out"]
        self.w = {f"{la}.{p}": learner[f"{name}.w.{la}.{p}"] for la in self.layers for p in ("weight", "bias")}
        self.e, self.v = ({k: np.zeros_like(w) for k, w in self.w.items()} for _ in range(2))
        self.count, self.sigma, self.clip, self.magnitude, self.energy = 0, 0.0, 1.0, 0.0, 0.0

    def forward(self, x):
        self.kept = []
        for la in self.layers[:-1]:
            u = self.w[la + ".weight"] @ x + self.w[la + ".bias"]
            spread = np.sqrt(u.var() + 1e-5)
            y = (u - u.mean()) / spread
            self.kept.append((x, y, spread))
            x = np.where(y > 0, y, SLOPE * y)
        self.last = x
        return self.w["out.weight"] @ x + self.w["out.bias"]

    def gradient(self, d):
        """Of the loss by all weights, where d [outputs] is that by the outputs."""
        g = {"out.weight": np.outer(d, self.last), "out.bias": d}
        d = self.w["out.weight"].T @ d
        for la, (x, y, spread) in zip(reversed(self.layers[:-1]), reversed(self.kept)):
            d = d * np.where(y > 0, 1, SLOPE)
            d = (d - d.mean() - y * (d * y).mean()) / spread
            g[la + ".weight"], g[la + ".bias"] = np.outer(d, x), d
            d = self.w[la + ".weight"].T @ d
        return g

    def learn(self, g, delta, eta, cap=None, beta_energy=0.0):
        """One intentional update; cap is given for the actor, whose TD error is normalized."""
        decay = GAMMA * LAMBDA
        self.count += 1
        t = self.count
        power = energy = 0.0
        scale = {}
        for k in self.w:
            self.v[k] = 0.999 * self.v[k] + 0.001 * g[k] ** 2
            scale[k] = np.sqrt(self.v[k] / (1 - 0.999**t)) + 1e-8
            power += (g[k] ** 2 / scale[k]).sum()
            self.e[k] = decay * self.e[k] + g[k]
            energy += (self.e[k] ** 2 / scale[k]).sum()
        self.sigma += (1 - decay) * (power - self.sigma)
        if beta_energy:
            self.energy = beta_energy * self.energy + (1 - beta_energy) * energy
            energy = self.energy / (1 - beta_energy**t)
        step = eta / max(np.sqrt(self.sigma / (1 - decay**t) * energy), 1e-8)
        self.clip = 0.9998 * self.clip + 0.0002 * delta**2
        limit = 20 * np.sqrt(self.clip / (1 - 0.9998**t))
        d = np.clip(delta, -limit, limit)
        if cap is not None:
            self.magnitude = 0.9998 * self.magnitude + 0.0002 * abs(d)
            d = np.clip(d / max(self.magnitude / (1 - 0.9998**t), 1e-12), -cap, cap)
        for k in self.w:
            self.w[k] = self.w[k] - d * step * self.e[k] / scale[k]
        return d, step


class Statistics:
    """Welford's running mean and variance."""

    def __init__(self, size):
        self.count, self.mean, self.m2 = 0, np.zeros(size), np.zeros(size)

    def add(self, x):
        self.count += 1
        d = x - self.mean
        self.mean = self.mean + d / self.count
        self.m2 = self.m2 + d * (x - self.mean) if self.count > 1 else self.m2

    def variance(self):
        return np.ones_like(self.m2) if self.count < 2 else self.m2 / (self.count - 1)


def stream(steps, observations, actions):
    """Transitions whose rewards have a rare outlier, so that caps have something to do."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=observations)
    for t in range(1, steps + 1):
        action, there = rng.normal(size=actions), 0.8 * x + rng.normal(size=observations)
        reward = rng.normal() + (60 if t % 41 == 40 else 0)
        ends = t % 29 == 0
        yield x, action, there, reward, ends and t % 2 == 0, ends and t % 2 == 1
        x = rng.normal(size=observations) if ends else there


@pytest.mark.parametrize("cap, beta", [(0, 0.0), (3, 0.0), (0, 0.99), (3, 0.99), (0.5, 0.5)])
@pytest.mark.parametrize("dtype, limit", [("f64", 1e-11), ("f32", 2e-5)])
def test_a_learner_is_its_transcription(cap, beta, dtype, limit):
    n, m = 12, 2
    learner = Learner(n, m, hidden=[16, 24], preset="intentional", error_cap=cap, beta_energy=beta, dtype=dtype, seed=3)
    actor, critic = Net(learner, "actor"), Net(learner, "critic")
    seen, returns, trace, capped = Statistics(n), Statistics(1), 0.0, 0

    def normalized(x):
        return (x - seen.mean) / np.sqrt(seen.variance() + 1e-8)

    begins = True
    for x, action, there, reward, terminated, truncated in stream(300, n, m):
        learner.act(x)
        found = learner.update(there, reward, terminated, truncated, action)
        if begins:
            seen.add(x)
            s = normalized(x)
        seen.add(there)
        s_next = normalized(there)
        trace = GAMMA * trace + reward
        returns.add(np.array([trace]))
        scaled = reward / np.sqrt(returns.variance()[0] + 1e-8)
        begins = terminated or truncated
        trace = 0.0 if begins else trace
        following = critic.forward(s_next)[0]
        delta = scaled + (0 if terminated else GAMMA * following) - critic.forward(s)[0]
        out = actor.forward(s)
        mean, raw = out[:m], out[m:]
        std, slope = np.log1p(np.exp(raw)), 1 / (1 + np.exp(-raw))
        z = (action - mean) / std
        d = np.concatenate([-z / std, -(z * z - 1 + ENTROPY * np.sign(delta)) / std * slope])
        used, step = actor.learn(actor.gradient(d), delta, 0.05, cap or np.inf, beta)
        capped += bool(cap) and abs(used) == cap
        critic.learn(critic.gradient(np.array([-1.0])), delta, 0.5)
        assert found.td_error == pytest.approx(delta, abs=100 * limit)
        assert found.actor.td_error == pytest.approx(used, rel=100 * limit, abs=1000 * limit)
        assert found.actor.step_size == pytest.approx(step, rel=1000 * limit)
        if begins:
            for net in (actor, critic):
                net.e = {k: 0 * e for k, e in net.e.items()}
        s = s_next
    for net in (actor, critic):
        for k, w in net.w.items():
            assert np.abs(learner[f"{net.name}.w.{k}"] - w).max() <= limit, k
    assert bool(capped) == bool(cap)


def test_the_capped_preset_is_these_numbers_and_a_cap_of_zero_is_none():
    rules = [dict(preset="intentional-capped"), dict(optimizer="intentional", error_cap=3, beta_energy=0.99),
             dict(preset="intentional"), dict(preset="intentional-capped", error_cap=0, beta_energy=0)]
    capped, same, plain, undone = (bytes(driven(Learner(12, 2, seed=1, **rule), 300)) for rule in rules)
    assert capped == same and plain == undone and capped != plain


def test_the_running_energy_is_in_the_checkpoint():
    first, second = (Learner(12, 2, seed=s, preset="intentional-capped") for s in (1, 2))
    driven(first, 100)
    second.restore_bytes(bytes(first))
    # the energy of 100 updates counts in the next steps: without it they would be those of a fresh mean
    assert bytes(driven(first, 50)) == bytes(driven(second, 50))


def driven(learner, steps):
    for x, action, there, reward, terminated, truncated in stream(steps, 12, 2):
        learner.act(x)
        learner.update(there, reward, terminated, truncated, action)
    return learner


@pytest.mark.parametrize("preset", ["intentional", "intentional-capped"])
def test_a_surprise_moves_a_capped_actor_less(preset):
    """After 5,000 quiet updates a reward of a hundred times the usual: the step of the paper's rule is bounded by 20
    root mean squares, of which the mean magnitude knows nothing."""
    learner, rng = Learner(12, 2, seed=1, preset=preset), np.random.default_rng(0)
    largest = 0.0
    for t in range(5000):
        learner.act(rng.normal(size=12))
        reward = 1 + 1e-3 * rng.normal() - (100 if t == 4999 else 0)
        found = learner.update(rng.normal(size=12), reward, t % 50 == 49)
        largest = abs(found.actor.td_error)
    assert largest <= 3 if preset == "intentional-capped" else largest > 10
