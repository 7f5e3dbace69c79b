"""A cliff where the mean and the worst returns want different ways, and learners that take each.

    python examples/learning/cliff.py [--seeds 20] [--steps 60000]

The way from S to G along the edge is short. On each windy cell (~) a gust may throw the walker off the cliff. The way
around (.) is longer and certain.

    .  .  .  .
    S  ~  ~  G
       the cliff

Learners with the same critic of quantiles climb the mean, CVaR at 0.15, and the same with a stock. Prints how many
seeds took which way, and what each way is worth: exact, from the probabilities.
"""
import argparse

import efferent
import numpy as np

COLUMNS, ROWS = 4, 2
GUST, FALL = 0.1, -6.0  # probability on each windy cell, and what a fall costs besides the step
MOVES = ((1, 0), (0, 1), (0, -1))  # right, up, down
CELLS = COLUMNS * ROWS
LEVEL = 0.15
# rewards are known, and cells need no normalizer; the lowest quantiles are slow, and exploration must not end before
# them
OPTIONS = {"critic_kind": "quantile", "critic_size": 10, "quantile_huber": 0.15, "lambda_": 0.0, "hidden": [32],
           "sparsity": 0.5, "no_observation_norm": 1, "no_reward_scaling": 1, "epsilon_steps": 30000,
           "epsilon_end": 0.1, "kappa_value": 4}
LEARNERS = {
    "mean": {},
    "cvar": {"risk": "cvar", "risk_level": LEVEL},
    "cvar, stock": {"risk": "cvar", "risk_level": LEVEL, "stock": 1},
}


class Cliff:
    """Cells as one-hot observations; every step costs 1."""

    def __init__(self, seed=None, gust=GUST):
        self.random, self.gust = np.random.default_rng(seed), gust

    def reset(self):
        self.x, self.y, self.length = 0, 0, 0
        return self._seen()

    def step(self, action):
        """(observation, reward, terminated, truncated)"""
        dx, dy = MOVES[action]
        self.length += 1
        self.x = min(max(self.x + dx, 0), COLUMNS - 1)
        self.y = min(self.y + dy, ROWS - 1)
        on_edge = 0 < self.x < COLUMNS - 1
        if on_edge and (self.y < 0 or self.y < ROWS - 1 and self.random.random() < self.gust):
            self.y = max(self.y, 0)
            return self._seen(), FALL - 1, True, False
        self.y = max(self.y, 0)
        return self._seen(), -1.0, (self.x, self.y) == (COLUMNS - 1, 0), self.length >= 100

    def _seen(self):
        seen = np.zeros(CELLS)
        seen[self.y * COLUMNS + self.x] = 1
        return seen


def train(seed, steps, **options):
    """A learner that has walked for so many steps."""
    learner = efferent.Learner(CELLS, len(MOVES), "stream-q", seed=seed, **{**OPTIONS, **options})
    env = Cliff(seed)
    observation = env.reset()
    for _ in range(steps):
        observation, reward, terminated, truncated = env.step(learner.act(observation))
        learner.update(observation, reward / 10, terminated, truncated)
        if terminated or truncated:
            observation = env.reset()
    return learner


def way(learner):
    """"edge", "around", or "lost": where the greedy policy goes when there is no gust."""
    learner.freeze("actor", "critic", "normalizers")
    env = Cliff(gust=0)
    observation, windy, reached = env.reset(), 0, False
    for _ in range(30):
        learner.act(observation)
        action = learner.infer(observation)
        observation, reward, terminated, truncated = env.step(action)
        learner.update(observation, reward / 10, terminated, truncated, action=action)
        windy += env.y < ROWS - 1 and 0 < env.x < COLUMNS - 1
        if terminated:
            reached = (env.x, env.y) == (COLUMNS - 1, 0)
            break
    learner.freeze()
    return ("edge" if windy else "around") if reached else "lost"


def worth(windy, length, level=LEVEL):
    """(mean, CVaR) of a way of `length` steps, of which the first `windy` may be the last."""
    outcomes = [((1 - GUST) ** k * GUST, -(k + 1) + FALL) for k in range(windy)]
    outcomes.append(((1 - GUST) ** windy, -length))
    mean, left, tail = sum(p * x for p, x in outcomes), level, 0.0
    for p, x in sorted(outcomes, key=lambda pair: pair[1]):
        tail, left = tail + min(p, left) * x, left - min(p, left)
    return mean, tail / level


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20, help="how many, from 200 on")
    parser.add_argument("--steps", type=int, default=60000)
    given = parser.parse_args()
    for name, (windy, length) in {"edge": (COLUMNS - 2, COLUMNS - 1), "around": (0, COLUMNS + 1)}.items():
        print("{:<7} mean {:6.2f}   CVaR {:6.2f}".format(name, *worth(windy, length)))
    for name, options in LEARNERS.items():
        ways = [way(train(seed, given.steps, **options)) for seed in range(200, 200 + given.seeds)]
        print(f"{name:<12}", ", ".join(f"{ways.count(w)} {w}" for w in ("edge", "around", "lost")), flush=True)


if __name__ == "__main__":
    main()
