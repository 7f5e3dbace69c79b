"""Steps of uneven length: a critic that is told how long each one was learns values of time, not of steps."""

import efferent
import numpy as np

NOMINAL, GAMMA = 0.02, 0.9  # seconds, and the discount of a step of that length
THETA = 2.0  # the process returns to 0 at this rate; its deviation is 1
PARTS = 8  # of a nominal step, in which the reward is summed


def value(x):
    """Of a reward of x / NOMINAL per second: exact."""
    return x / (THETA - np.log(GAMMA) / NOMINAL) / NOMINAL


def error(seed, updates, *, jitter, told=True):
    """The error of what was learned from an Ornstein-Uhlenbeck process, as a share of the values, both root mean squares
    over the process's own distribution."""
    random = np.random.default_rng(seed)
    learner = efferent.Learner(1, 0, "stream-td", seed=seed, gamma=GAMMA, nominal_dt=NOMINAL if told else 0.0,
                               optimizer="intentional", eta_value=0.005, hidden=[32], sparsity=0.5,
                               no_reward_scaling=1, no_observation_norm=1)
    x = random.normal()
    for _ in range(updates):
        dt = NOMINAL * (np.exp(random.uniform(np.log(0.2), np.log(5))) if jitter else 1.0)
        parts = max(round(PARTS * dt / NOMINAL), 3)
        decay, discount = np.exp(-THETA * dt / parts), GAMMA ** (dt / NOMINAL / parts)
        path = [x]
        for noise in (np.sqrt(1 - decay**2) * random.normal(size=parts)).tolist():
            path.append(decay * path[-1] + noise)
        rate = np.array(path) / NOMINAL * discount ** np.arange(parts + 1)
        learner.act([x])
        x = path[-1]
        learner.update([x], (rate.sum() - (rate[0] + rate[-1]) / 2) * dt / parts, dt=dt)
    grid = np.linspace(-2, 2, 41)
    weight = np.exp(-(grid**2) / 2)
    found = np.array([float(np.ravel(learner.infer([g]))[0]) for g in grid])
    return np.sqrt(weight @ (found - value(grid)) ** 2 / (weight @ value(grid) ** 2))


def test_values_of_a_process_are_as_good_by_uneven_steps_as_by_even_ones():
    """Steps of 0.2 to 5 times the nominal one."""
    even = np.mean([error(seed, 40_000, jitter=False) for seed in range(6)])
    uneven = np.mean([error(seed, 40_000, jitter=True) for seed in range(6)])
    assert uneven <= 1.1 * even and even < 0.35


def test_a_critic_that_is_not_told_learns_other_values():
    told, untold = (np.mean([error(seed, 40_000, jitter=True, told=t) for seed in range(3)]) for t in (True, False))
    assert untold > 1.3 * told
