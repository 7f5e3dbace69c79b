"""The plant's end of an Efferent bridge, without the library: for simulators and robot controllers.

    from efferent_client import Plant
    with Plant(gymnasium.make("HalfCheetah-v5"), "tcp://127.0.0.1:5555") as plant:
        print(plant.run(episodes=5).mean_return)

The same classes as `efferent.Client`, `efferent.Receiver`, `efferent.Plant`, `efferent.RemoteLearner` and
`efferent.RemoteController`. Both packages can be installed beside each other.
"""

import importlib

from .errors import (
    ArgumentError,
    Error,
    FileError,
    FormatError,
    MemoryError_,
    MismatchError,
    NumericError,
    ShapeError,
    StateError,
    TimeoutError_,
    UnsupportedError,
)

# loaded at first use: a client needs no gymnasium
_LAZY = {
    "Client": "client",
    "Plant": "plant",
    "Receiver": "receiver",
    "RemoteLearner": "remote",
    "RemoteController": "remote",
    "BridgeError": "wire",
    "BridgeTimeout": "wire",
    "BridgeMismatch": "wire",
    "BridgeLost": "wire",
}

__all__ = [
    "ArgumentError",
    "Error",
    "FileError",
    "FormatError",
    "MemoryError_",
    "MismatchError",
    "NumericError",
    "ShapeError",
    "StateError",
    "TimeoutError_",
    "UnsupportedError",
    *_LAZY,
]


def __getattr__(name):
    if name == "__version__":
        from importlib.metadata import version

        return version("efferent-client")
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module 'efferent_client' has no attribute '{name}'")


def __dir__():
    return sorted({*globals(), *_LAZY})
