"""A learner where a network stands: it learns exactly what it would learn from the same transitions in a loop by
hand."""
import json

import efferent
import numpy as np
import pytest
from test_controller import JOINTS, ROBOT, card, network, term, width

TERMS = [term("joint_position", 3, joints=JOINTS, minus_default=True), term("joint_velocity", 3, joints=JOINTS),
         term("last_action", 3, of="raw")]


def learner(**options):
    return efferent.Learner(9, 3, hidden=[16], seed=7, **options)


def opened(tmp_path, made, content=None, **more):
    content = content or card(TERMS)
    path = network(tmp_path / "policy.onnx", width(content))
    return efferent.Controller(efferent.Card.from_json(json.dumps(content)), {"policy": path}, ROBOT, learner=made,
                               **more)


class Plant:
    """Four joints that follow their targets; a fall is a joint that is far."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.reset()

    def reset(self):
        self.q, self.qd = self.rng.normal(0, 0.1, 4), np.zeros(4)

    def signals(self):
        return {"joint.position": self.q, "joint.velocity": self.qd}

    def step(self, targets):
        pull = np.nan_to_num(targets) - self.q
        self.qd = 0.5 * self.qd + 2.0 * pull
        self.q = self.q + 0.02 * self.qd
        return -float(np.square(self.q).sum()), bool(np.abs(self.q).max() > 0.6)


def state(made, tmp_path):
    made.save(tmp_path / "l.bin")
    return (tmp_path / "l.bin").read_bytes()


def test_a_controller_teaches_its_learner_what_a_loop_by_hand_does(tmp_path):
    inside, outside = learner(), learner()
    c, plant = opened(tmp_path, inside), Plant()
    c.reset()
    seen = acted = reward = None
    ended = False
    episodes = 0
    for tick in range(600):
        c.tick(plant.signals())
        observation = c.observations["policy.obs"].reshape(-1).astype(np.float64)
        if ended:  # the observation that followed the last action; the learner acts without exploration
            outside.update(observation, reward, terminated=tick % 2 == 0, truncated=tick % 2 == 1)
            expected = outside.infer(observation)
        else:
            if seen is not None:
                update = outside.update(observation, reward, dt=0.02)
                assert c.learned.td_error == update.td_error and c.learned.reason == update.reason == 0
            expected = outside.act(observation)
        np.testing.assert_array_equal(c.actions["policy.actions"].reshape(-1), np.float32(expected))
        seen, acted = observation, expected
        if ended:
            c.reset()
            plant.reset()
            seen, ended = None, False
            continue
        reward, fell = plant.step(c.targets["position"])
        ended = fell or tick % 50 == 49
        episodes += ended
        at_end = (tick + 1) % 2 == 0
        c.reward(reward, terminated=ended and at_end, truncated=ended and not at_end)
    assert episodes > 8 and acted is not None
    assert state(inside, tmp_path) == state(outside, tmp_path), "bit for bit"
    # an end at the last tick is not known to the learner
    assert c.learned.updates > 500 and c.learned.episodes == episodes - ended


def test_a_reset_before_the_last_observation_learns_with_the_one_at_hand_and_one_without_an_end_drops(tmp_path):
    inside, outside = learner(), learner()
    c, plant = opened(tmp_path, inside), Plant()
    c.tick(plant.signals())
    first = c.observations["policy.obs"].reshape(-1).astype(np.float64)
    outside.act(first)
    c.reward(1.5, terminated=True)
    c.reset()
    plant.reset()
    c.tick(plant.signals())
    outside.update(first, 1.5, terminated=True)
    second = c.observations["policy.obs"].reshape(-1).astype(np.float64)
    np.testing.assert_array_equal(c.actions["policy.actions"].reshape(-1), np.float32(outside.act(second)))
    assert c.learned.updates == 1 and c.learned.episodes == 1
    c.reward(0.5)
    c.reset()  # nobody said that the episode has ended
    c.tick(plant.signals())
    assert c.learned.updates == 1 and c.learned.bad_inputs == 0
    c.reward(0.25)
    c.reward(0.5)  # rewards between two runs add up
    c.tick(plant.signals())
    assert c.learned.updates == 2
    c.tick(plant.signals())  # without a call the reward is 0
    assert c.learned.updates == 3


def test_what_a_learner_cannot_do_is_refused_by_name_and_what_is_not_finite_is_dropped(tmp_path):
    made = learner()
    c, plant = opened(tmp_path, made), Plant()
    c.tick(plant.signals())
    c.reward(float("nan"))
    c.tick(plant.signals())
    assert c.learned.reason == 2 and c.learned.bad_inputs == 1 and c.learned.updates == 0
    c.reward(1.0)
    c.tick(plant.signals())
    assert c.learned.reason == 0 and c.learned.updates == 1
    with pytest.raises(
        efferent.ShapeError, match="learner takes 8 values and gives 3, the network takes 9 and gives 3"
    ):
        opened(tmp_path, efferent.Learner(8, 3))
    with pytest.raises(efferent.UnsupportedError, match="stream-td predicts"):
        opened(tmp_path, efferent.Learner(9, 0, algorithm="stream-td"))
    with pytest.raises(efferent.MismatchError, match="no model 'other'"):
        opened(tmp_path, learner(), learner_model="other")
    with pytest.raises(efferent.ArgumentError, match="no learner is given"):
        opened(tmp_path, None, learner_model="policy")
    without = opened(tmp_path, None)
    assert without.learned is None
    with pytest.raises(efferent.StateError):
        without.reward(1.0)
    made.close()
    with pytest.raises(efferent.NumericError, match="output 'actions'"):
        c.tick(plant.signals())
    assert np.isfinite(c.targets["position"][ROBOT.index("hip")]), "the fallback's"


def test_a_learner_that_started_from_the_policy_acts_like_it_and_its_export_does_too(tmp_path):
    content = card(TERMS[:2])
    path = network(tmp_path / "policy.onnx", width(content))
    made = efferent.Learner(policy=efferent.Policy(path, learnable=True), initial_std=1e-9, hidden=[8])
    c, plain, plant = opened(tmp_path, made, content), opened(tmp_path, None, content), Plant()
    for _ in range(20):
        for each in (c, plain):
            each.tick(plant.signals())
        np.testing.assert_allclose(c.targets["position"], plain.targets["position"], atol=1e-5)
        c.reward(plant.step(c.targets["position"])[0])
    assert c.learned.updates == 19
