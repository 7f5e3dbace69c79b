"""A maze whose only reward is at its end: a learner that is paid for what is new gets there, one that is not does not.

    python examples/learning/maze.py [--seeds 10] [--first 100] [--steps 300000]

The way from S to G winds along walls (#). An episode ends at G, which gives 1, or after LIMIT steps, which give
nothing. By moves at random the goal is never met.

    S . . . . . . . .
    # # # # # # # # .
    . . . . . . . . .
    . # # # # # # # #
    . . . . . . . . .
    # # # # # # # # .
    . . . . . . . . .
    . # # # # # # # #
    . . . . . . . . G

The same learner (stream-x, with more entropy) runs with and without the bonus of random network distillation. Solved:
at least 90 % of the episodes of the last tenth of the steps end at the goal.
"""
import argparse

import efferent
import numpy as np

MAZE = ("S........", "########.", ".........", ".########", ".........", "########.", ".........", ".########",
        "........G")
SIZE = len(MAZE)
MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))  # right, down, left, up: rows and columns
LIMIT = 150
# cells are one-hot and need no normalizer
OPTIONS = {"no_observation_norm": 1, "entropy": 0.1}
BONUS = {"bonus": 1.0}


class Maze:
    def reset(self):
        self.row, self.column, self.length = 0, 0, 0
        return self._seen()

    def step(self, action):
        """(observation, reward, terminated, truncated)"""
        row, column = self.row + MOVES[action][0], self.column + MOVES[action][1]
        if 0 <= row < SIZE and 0 <= column < SIZE and MAZE[row][column] != "#":
            self.row, self.column = row, column
        self.length += 1
        there = MAZE[self.row][self.column] == "G"
        return self._seen(), float(there), there, self.length >= LIMIT and not there

    def _seen(self):
        seen = np.zeros(SIZE * SIZE)
        seen[self.row * SIZE + self.column] = 1
        return seen


def run(seed, steps, rewards, **options):
    """(step, whether at the goal) of every end of an episode. `rewards` and `options` as efferent.Learner has them."""
    learner = efferent.Learner(SIZE * SIZE, len(MOVES), "stream-ac-discrete", seed=seed, rewards=rewards,
                               **{**OPTIONS, **options})
    maze, ends = Maze(), []
    observation = maze.reset()
    for step in range(steps):
        observation, reward, terminated, truncated = maze.step(learner.act(observation))
        learner.update(observation, reward, terminated, truncated)
        if terminated or truncated:
            ends.append((step, terminated))
            observation = maze.reset()
    return ends


def rate(ends, first, last):
    """The share of the episodes that ended in [first, last) which ended at the goal."""
    return float(np.mean([there for step, there in ends if first <= step < last] or [False]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first", type=int, default=100, help="the first of them")
    parser.add_argument("--steps", type=int, default=300_000)
    given = parser.parse_args()
    for name, rewards in (("without", None), ("with the bonus", BONUS)):
        solved = reached = 0
        for seed in range(given.first, given.first + given.seeds):
            ends = run(seed, given.steps, rewards)
            last = rate(ends, given.steps * 9 // 10, given.steps)
            met = next((step for step, there in ends if there), None)
            solved, reached = solved + (last >= 0.9), reached + (met is not None)
            print(f"{name}, seed {seed}: at the goal first at step {met}, {last:.0%} of the last tenth's episodes",
                  flush=True)
        print(f"{name}: {solved} of {given.seeds} solved, {reached} ever at the goal", flush=True)


if __name__ == "__main__":
    main()
