"""Efferent runs trained policies: load what a trainer exported, step it inside a control loop.

    policy = efferent.Policy("policy.onnx")
    session = policy.session()
    action = session.step(observation)
"""
import importlib

from .errors import (ArgumentError, Error, FileError, FormatError, MemoryError_, MismatchError, NumericError, ShapeError, StateError, TimeoutError_,
                     UnsupportedError)

# loaded at first use: simulators need neither the library nor what the others import
_LAZY = {
    "Policy": "policy", "Tensor": "policy", "Session": "session", "version": "_library", "Learner": "learner", "Plant": "plant", "Bridge": "bridge",
    "Client": "client", "RemoteLearner": "remote", "BridgeError": "wire", "BridgeTimeout": "wire", "BridgeMismatch": "wire", "BridgeLost": "wire",
    "convert": "_convert", "Card": "card", "Controller": "controller", "MujocoLoop": "mujoco_loop", "PreflightWarning": "controller",
}
_MODULES = {"policy", "session", "learner", "training", "estimates", "plant", "wire", "client", "remote", "errors", "bridge", "card", "controller", "mujoco_loop",
            "motion", "preflight", "probe", "stall"}

__all__ = [
    "ArgumentError", "Error", "FileError", "FormatError", "MemoryError_", "MismatchError", "NumericError", "ShapeError", "StateError", "TimeoutError_",
    "UnsupportedError", *_LAZY,
]


def __getattr__(name):
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("efferent")
        except PackageNotFoundError:
            return "0.1.0"
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'efferent' has no attribute '{name}'")


def __dir__():
    return sorted({*globals(), *_LAZY})
