"""Efferent runs trained policies: load what a trainer exported, step it inside a control loop.

    policy = efferent.Policy("policy.onnx")
    session = policy.session()
    action = session.step(observation)
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .errors import (ArgumentError, Error, FileError, FormatError, MemoryError_, MismatchError, NumericError,
                     ShapeError, StateError, TimeoutError_,
                     UnsupportedError)

if TYPE_CHECKING:
    from . import controller, lab, motion, preflight, probe, stall
    from ._convert import convert
    from ._library import version
    from .bridge import Bridge
    from .card import Card
    from .client import Client
    from .controller import Controller, PreflightWarning
    from .latent import LatentLearner
    from .learner import Learner
    from .mujoco_loop import MujocoLoop
    from .plant import Plant
    from .policy import Policy, Tensor
    from .receiver import Receiver
    from .remote import RemoteController, RemoteLearner
    from .rewards import RewardSum
    from .session import Session
    from .wire import BridgeError, BridgeLost, BridgeMismatch, BridgeTimeout

# loaded at first use: simulators need neither the library nor what the others import
_LAZY = {
    "Policy": "policy", "Tensor": "policy", "Session": "session", "version": "_library", "Learner": "learner",
    "LatentLearner": "latent", "RewardSum": "rewards",
    "Plant": "plant", "Bridge": "bridge",
    "Client": "client", "Receiver": "receiver", "RemoteLearner": "remote", "RemoteController": "remote",
    "BridgeError": "wire",
    "BridgeTimeout": "wire", "BridgeMismatch": "wire", "BridgeLost": "wire",
    "convert": "_convert", "Card": "card", "Controller": "controller", "MujocoLoop": "mujoco_loop",
    "PreflightWarning": "controller",
}
_MODULES = {"policy", "session", "learner", "lab", "plant", "wire", "client", "receiver", "remote", "errors", "keys",
            "bridge", "card", "controller", "latent", "mujoco_loop",
            "motion", "preflight", "probe", "rewards", "stall"}

__all__ = [
    "ArgumentError", "Error", "FileError", "FormatError", "MemoryError_", "MismatchError", "NumericError", "ShapeError",
    "StateError", "TimeoutError_",
    "UnsupportedError", *_LAZY,
]


def __getattr__(name):
    if name == "__version__":
        from ._version import number

        return number()
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'efferent' has no attribute '{name}'")


def __dir__():
    return sorted({*globals(), *_LAZY})
