"""One loop for one environment and for a vector of them: rows that step together, and which of them began an
episode."""
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv


class Moved:
    """What one step of all rows gave."""

    def __init__(self, observation, reward, terminated, truncated, counted, fresh):
        self.observation, self.reward, self.terminated, self.truncated = observation, reward, terminated, truncated
        self.counted = counted  # [rows]: the step belongs to an episode
        # [rows]: the observation is the first of an episode that the environment began by itself
        self.fresh = fresh


class SingleRows:
    """A `gymnasium.Env` as one row."""

    caller_resets = True  # `again` begins the episodes after the first

    def __init__(self, env):
        self.env, self.rows = env, 1
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.period = float(getattr(env.unwrapped, "dt", 0.0) or 0.0)

    def _row(self, observation):
        return {k: np.asarray(v)[None]
                for k, v in observation.items()} if isinstance(observation, dict) else np.asarray(observation)[None]

    def reset(self, seed):
        return self._row(self.env.reset(seed=seed)[0])

    def again(self, ended, seed):
        return self.reset(seed)

    def step(self, action):
        observation, reward, terminated, truncated, _ = self.env.step(action[0])
        return Moved(self._row(observation), np.array([reward], float), np.array([terminated], bool),
                     np.array([truncated], bool), np.array([True]),
                     np.array([False]))


class VectorRows:
    """A `gymnasium.vector.VectorEnv`, in any autoreset mode."""

    def __init__(self, env):
        self.env, self.rows = env, env.num_envs
        self.observation_space, self.action_space = env.single_observation_space, env.single_action_space
        self.period = 0.0
        self.mode = AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        self._ended = np.zeros(self.rows, bool)

    def reset(self, seed):
        self._ended[:] = False
        return self.env.reset(seed=seed)[0]

    def again(self, ended, seed):
        return self.env.reset(options={"reset_mask": ended})[0]

    def step(self, action):
        observation, reward, terminated, truncated, _ = self.env.step(action)
        ended = np.asarray(terminated | truncated, bool)
        if self.mode == AutoresetMode.NEXT_STEP:
            # the step after the last ignores the action and begins the next episode
            counted, fresh = ~self._ended, self._ended.copy()
            self._ended = ended & counted
        else:
            counted, fresh = np.ones(self.rows,
                                     bool), ended if self.mode == AutoresetMode.SAME_STEP else np.zeros(self.rows, bool)
        return Moved(observation, np.asarray(reward, float), np.asarray(terminated, bool), np.asarray(truncated, bool),
                     counted, fresh)

    @property
    def caller_resets(self):
        return self.mode == AutoresetMode.DISABLED


def rows_of(env):
    """The rows of any Gymnasium environment."""
    return VectorRows(env) if isinstance(env, VectorEnv) else SingleRows(env)
