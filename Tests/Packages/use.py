"""What a user of the wheels does, outside of a checkout: use.py POLICY.onnx. One line per thing that works."""

import os
import subprocess
import sys

import efferent
import numpy as np
from efferent._library import lib

policy = efferent.Policy(sys.argv[1])
observation = np.zeros(17, np.float32)
action = policy.session().step(observation)
print("step", efferent.version(), efferent.__version__, action.shape, lib.path)

learner = efferent.Learner(observations=3, actions=2)
learner.act(np.zeros(3))
learner.update(np.ones(3), 1.0, False, False)
print("learn")

CLIENT = """
import sys, numpy as np
from efferent_client import Client
with Client(sys.argv[1]) as client:
    answer = client.step({client.inputs[0].name: np.zeros((1, 17), np.float32)})
    print("answer", *(a.size for a in answer.values()), "efferent" in sys.modules)
"""
with efferent.Bridge(policy.session(), "tcp://127.0.0.1:*") as bridge:
    bridge.start()
    emulator = os.environ.get("EMULATOR", "").split()  # of aarch64
    done = subprocess.run(
        [*emulator, sys.executable, "-c", CLIENT, bridge.endpoint], capture_output=True, text=True, timeout=60
    )
    print(done.stdout.strip() or done.stderr.strip())
