"""What Python adds to a step: python Tests/Benchmarks/python_step.py POLICY

Least time of a call, in us, over blocks that are interleaved: the C function through ctypes with ready arguments,
Session.step, and Session.step with out=. Needs EFFERENT_LIBRARY or an installed package.
"""

import sys
import time

import efferent
import numpy as np
from efferent._library import lib


def block(call, count=2000):
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count * 1e6


def main(path):
    session = efferent.Policy(path).session()
    x = np.ones(session.policy.inputs[0].shape, np.float32)
    action = np.zeros(session.policy.action.shape, np.float32)
    given = session._handle.value, 1, x.ctypes.data, action.ctypes.data
    calls = {
        "eff_session_step by ctypes": lambda: lib.eff_session_step(*given),
        "Session.step": lambda: session.step(x),
        "Session.step, out=": lambda: session.step(x, out=action),
    }
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(60):
        for name, call in calls.items():
            best[name] = min(best[name], block(call))
    for name, took in best.items():
        print(f"{name:28} {took:6.2f} us")


main(sys.argv[1])
