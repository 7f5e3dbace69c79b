"""What a learner costs that goes on from a convolutional Q network of images: python encoder.py POLICY.onnx [CALLS]

Prints act, update and their sum in milliseconds: the fastest and the median of CALLS (300). The network of
Tests/Benchmarks/make_nets.py is Nature DQN: four images of 84x84, 1.7 million weights.
"""
import sys
import time

import efferent
import numpy as np

learner = efferent.Learner(policy=sys.argv[1], algorithm="stream-q")
seen = np.random.default_rng(0).random((8, learner.observations))
times = []
for i in range(int(sys.argv[2]) if len(sys.argv) > 2 else 300):
    began = time.perf_counter()
    learner.act(seen[i % 8])
    between = time.perf_counter()
    learner.update(seen[(i + 1) % 8], 1.0)
    times.append((between - began, time.perf_counter() - between, time.perf_counter() - began))
for name, values in zip(("act", "update", "both"), np.transpose(times) * 1e3):
    print(f"{name:6} at least {values.min():6.2f} ms, median {np.median(values):6.2f} ms")
