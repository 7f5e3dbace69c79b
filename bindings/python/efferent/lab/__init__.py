"""The experiment harness: learning in Gymnasium environments, over seeds, with estimates. The runtime does not use it.

    env = efferent.lab.make("HalfCheetah-v5")
    rollout = efferent.lab.Rollout(env, efferent.Learner.for_env(env), seed=0)
    rollout.advance(10_000)
    print(rollout.episodes[-1].total)
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import estimates, results, seeds, switch, training
    from .results import versions, write
    from .seeds import run_seeds
    from .switch import switch_report
    from .training import Block, Episode, Rollout, Run, Settings, evaluate, make, train

# loaded at first use: estimates need neither the library nor a terminal
_LAZY = {
    "versions": "results", "write": "results", "run_seeds": "seeds", "switch_report": "switch", "Block": "training",
    "Episode": "training", "Rollout": "training", "Run": "training", "Settings": "training",
    "evaluate": "training", "make": "training", "train": "training",
}
_MODULES = {"estimates", "results", "seeds", "switch", "training"}

__all__ = [*_MODULES, *_LAZY]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'efferent.lab' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_MODULES})
