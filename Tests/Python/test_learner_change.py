"""The budget on what the actor does, and dormant units: against torch's divergences and numpy."""
import ctypes

import numpy as np
import pytest
from efferent._library import lib
from efferent._table_learner import eff_transition, eff_update
from efferent.learner import Learner
from test_learner_policy import drive, recurrent, squashed, weights

torch = pytest.importorskip("torch")
OBSERVATIONS, EPSILON = 5, 1e-8


def described(**options):
    return Learner(OBSERVATIONS, 3, hidden=[12, 9], sparsity=0.0, **options)


def loaded(make, **options):
    return Learner(policy=make(), critic_warmup_steps=0, kappa_policy=3, **options)


def statistics(learner):
    """Mean and deviation, as observations are normalized now."""
    count = learner["obsnorm.count"][0]
    variance = learner["obsnorm.m2"] / (count - 1) if count > 1 else np.ones(learner.observations)
    return learner["obsnorm.mean"], np.sqrt(variance + EPSILON)


def described_outputs(w, x):
    F = torch.nn.functional
    h = torch.tensor(x)
    for name in ("l1", "l2"):
        h = F.linear(h, w[f"actor.w.{name}.weight"], w[f"actor.w.{name}.bias"])
        h = F.leaky_relu(F.layer_norm(h, h.shape))
    return F.linear(h, w["actor.w.out.weight"], w["actor.w.out.bias"])


def gaussian(w, raw, x):
    mean, pre = described_outputs(w, x).chunk(2)
    return torch.distributions.Normal(mean, torch.nn.functional.softplus(pre))


def categorical(w, raw, x):
    return torch.distributions.Categorical(logits=described_outputs(w, x))


def squashed_gaussian(w, raw, x):
    """The Gaussian before tanh; the normalizer is the learner's."""
    F = torch.nn.functional
    w = {name.removeprefix("actor.w."): value for name, value in w.items()}
    h = F.elu(F.layer_norm(F.linear(torch.tensor(x), w["w1"], w["b1"]), (8,), w["gain"], w["shift"]))
    return torch.distributions.Normal(h @ w["w2"] + w["b2"], F.linear(h, w["w3"], w["b3"]).exp())


CASES = {
    "gaussian": (lambda **o: described(**o), gaussian),
    "gaussian, moments": (lambda **o: described(optimizer="intentional", **o), gaussian),
    "categorical": (lambda **o: described(algorithm="stream-ac-discrete", **o), categorical),
    "loaded, its normalizer taken over": (lambda **o: loaded(squashed, normalizer_count=50, **o), squashed_gaussian),
}


class Twin:
    """The ring of kept observations, kept by somebody else."""

    def __init__(self, distribution, period, size):
        self.distribution, self.period, self.size = distribution, period, size

    def mark(self, learner):
        self.shipped, self.seen_by = self.weights(learner), statistics(learner)
        self.ring, self.found, self.mean, self.waited, self.turns, self.next = [], {}, None, 0, 0, 0

    @staticmethod
    def weights(learner):
        return {name: torch.tensor(value) for name, value in weights(learner).items()}

    def after_update(self, learner, raw):
        self.waited += 1
        if self.waited < self.period:
            return
        self.waited = 0
        if self.turns % 5 == 0:
            place = self.turns // 5 % self.size
            (mean, deviation), (mean0, deviation0) = statistics(learner), self.seen_by
            entry = ((raw - mean) / deviation, self.distribution(self.shipped, raw, (raw - mean0) / deviation0), raw)
            self.ring[place : place + 1] = [entry]
            self.found.pop(place, None)
        else:
            x, other, seen = self.ring[self.next]
            now = self.distribution(self.weights(learner), seen, x)
            self.found[self.next] = torch.distributions.kl_divergence(now, other).sum().item()
            self.next = (self.next + 1) % len(self.ring)
            self.mean = np.mean(list(self.found.values()))
        self.turns += 1


@pytest.mark.parametrize("dtype, limit", [("f64", 1e-9), ("f32", 2e-3)])
@pytest.mark.parametrize("case", CASES)
def test_the_change_is_the_mean_divergence_from_the_shipped_actor(case, dtype, limit):
    make, distribution = CASES[case]
    learner = make(dtype=dtype, seed=3, change_limit=np.inf, change_period=2, change_observations=4)
    twin, rng = Twin(distribution, 2, 4), np.random.default_rng(5)
    twin.mark(learner)
    seen, largest = rng.standard_normal(OBSERVATIONS), 0
    for k in range(1, 181):
        learner.act(seen)
        seen = rng.standard_normal(OBSERVATIONS) + 0.3
        ends = k % 17 == 0
        told = learner.update(seen, rng.standard_normal(), terminated=ends)
        if not ends:
            twin.after_update(learner, seen)
        if twin.mean is not None:
            assert abs(told.change - twin.mean) <= limit * (1e-3 + twin.mean), k
            largest = max(largest, told.change)
        if k == 100:
            learner.mark()
            twin.mark(learner)
            assert told.actor.drift > 0 and learner.update(seen, 0.0).change == 0
            twin.after_update(learner, seen)
    assert largest > 0.01


@pytest.mark.parametrize("make", [described, lambda **o: loaded(squashed, **o), lambda **o: loaded(recurrent, **o)],
                         ids=["described", "squashed", "recurrent"])
def test_measuring_changes_nothing(make):
    plain, measured = make(seed=1), make(seed=1, change_limit=np.inf, change_period=1, change_observations=3)
    assert np.array_equal(drive(plain, 120), drive(measured, 120))
    assert all(np.array_equal(plain[name], measured[name]) for name in plain.shapes)


@pytest.mark.parametrize("make", [squashed, recurrent])
def test_an_actor_that_does_not_learn_has_not_changed(make):
    learner = loaded(make, change_limit=1e-3, change_period=1, change_observations=3)
    learner.freeze("actor")
    drive(learner, 100)
    assert learner._update.change == 0
    learner.freeze()
    drive(learner, 100)
    assert learner._update.change > 0


@pytest.mark.parametrize("make",
                         [lambda **o: described(no_observation_norm=1, **o), lambda **o: loaded(squashed, **o),
                          lambda **o: loaded(recurrent, **o)], ids=["described", "squashed", "recurrent"])
def test_the_actor_stops_where_the_change_is_above_its_limit(make):
    learner, stopped = make(seed=1, change_limit=0.05, change_period=1, change_observations=4), 0
    rng = np.random.default_rng(2)
    seen = rng.standard_normal(learner.observations)
    for _ in range(600):
        learner.act(seen)
        above, before, critic = learner._update.change > 0.05, weights(learner), learner["critic.w.out.bias"]
        seen = rng.standard_normal(learner.observations)
        learner.update(seen, rng.standard_normal())
        moved = any((before[name] != value).any() for name, value in weights(learner).items())
        assert moved != above
        assert (learner.reason == "change") == above
        assert (learner["critic.w.out.bias"] != critic).any()
        stopped += above
    assert stopped > 10
    free = make(seed=1, change_limit=np.inf, change_period=1, change_observations=4)
    drive(free, 600)
    assert free._update.change > 2 * learner._update.change


def test_a_limit_needs_an_actor_and_a_number():
    from efferent.errors import ArgumentError

    for options in ({"algorithm": "stream-q", "change_limit": 1}, {"change_limit": -1}, {"change_limit": np.nan},
                    {"change_period": 0}, {"change_observations": 0}):
        with pytest.raises(ArgumentError, match="change_"):
            Learner(4, 2, **options)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("algorithm", ["stream-ac", "stream-q"])
def test_dormant_units_are_those_far_below_the_mean_of_their_layer(algorithm, dtype):
    learner = Learner(OBSERVATIONS, 2, algorithm, hidden=[40, 30], activation="relu", no_layer_norm=1,
                      no_observation_norm=1, sparsity=0.4, dtype=dtype, seed=4)
    nets = ["critic"] + (["actor"] if algorithm == "stream-ac" else [])
    for net in nets:
        learner[f"{net}.w.l2.weight"] = learner[f"{net}.w.l2.weight"] * np.geomspace(1e-3, 1, 30)[:, None]
    learner.freeze("actor", "critic")
    rng, averages = np.random.default_rng(1), {(net, layer): 0 for net in nets for layer in ("l1", "l2")}
    samples, shares = {"actor": 0, "critic": 0}, {"actor": 0, "critic": 0}
    seen = rng.standard_normal(OBSERVATIONS)
    for k in range(1, 64 * 105 + 1):
        learner.act(seen)
        state, seen = seen, rng.standard_normal(OBSERVATIONS)
        told = learner.update(seen, 0.0)
        net = {0: "critic", 32: "actor"}.get(k % 64)
        if net in nets:
            h, dormant = state, []
            samples[net] += 1
            for layer in ("l1", "l2"):
                h = np.maximum(learner[f"{net}.w.{layer}.weight"] @ h + learner[f"{net}.w.{layer}.bias"], 0)
                averages[net, layer] += max(0.01, 1 / samples[net]) * (h - averages[net, layer])
                dormant.append(averages[net, layer] <= 0.025 * averages[net, layer].mean())
            shares[net] = np.concatenate(dormant).mean()
        assert (told.actor_dormant,
                told.critic_dormant) == pytest.approx((shares["actor"], shares["critic"]), abs=1e-12), k
    assert all(0 < shares[net] < 1 for net in nets)


def test_dormant_units_of_a_loaded_policy_are_counted():
    learner = loaded(recurrent)
    drive(learner, 100)
    assert learner._update.actor_dormant == 0  # one layer learns: there is nothing between layers
    learner = loaded(squashed)
    drive(learner, 100)
    assert learner._update.actor_dormant == 0
    for name in ("gain", "shift"):
        kept = learner[f"actor.w.{name}"]
        kept[:2] = 0  # elu(0) = 0
        learner[f"actor.w.{name}"] = kept
    learner.freeze("actor")
    drive(learner, 64 * 220)
    assert learner._update.actor_dormant == 0.25


def test_a_caller_that_knows_less_telemetry_gets_that_part():
    learner = described()
    learner.act(np.zeros(OBSERVATIONS))
    told, seen = eff_update.sized(), np.ones(OBSERVATIONS)
    told.struct_size, told.change = eff_update.change.offset, -7
    transition = eff_transition.sized()
    transition.observation = seen.ctypes.data
    assert lib.eff_learner_update(learner._handle.value, ctypes.byref(transition), ctypes.byref(told)) == 0
    assert told.updates == 1 and told.change == -7
    told.struct_size = 4
    assert lib.eff_learner_update(learner._handle.value, ctypes.byref(transition), ctypes.byref(told)) == -1
