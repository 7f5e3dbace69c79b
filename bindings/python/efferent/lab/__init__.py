"""The experiment harness: learning in Gymnasium environments, over seeds, with estimates. The runtime does not use it.

    env = efferent.lab.make("HalfCheetah-v5")
    rollout = efferent.lab.Rollout(env, efferent.Learner.for_env(env), seed=0)
    rollout.advance(10_000)
    print(rollout.episodes[-1].total)
"""
from . import estimates
from .results import versions, write
from .seeds import run_seeds
from .training import Block, Episode, Rollout, Run, Settings, evaluate, make, train

__all__ = ["Block", "Episode", "Rollout", "Run", "Settings", "estimates", "evaluate", "make", "run_seeds", "train",
           "versions", "write"]
