"""What the tests of the bridge share: policies, small environments and a served process."""
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import efferent
import gymnasium
import models
import numpy as np

PACKAGE = Path(efferent.__file__).resolve().parents[1]


def policy(name, **options):
    return efferent.Policy(models.MODELS[name]().SerializeToString(), **options)


@contextmanager
def served(name="mlp", endpoint="tcp://127.0.0.1:*", rows=1, options=None, **bridge):
    """A bridge on a thread of its own."""
    session = policy(name, **(options or {})).session(rows=rows)
    with efferent.Bridge(session, endpoint, **bridge) as made:
        made.start()
        yield made


class Walk(gymnasium.Env):
    """Numbers that wander with the action; ends after 5 + (episodes so far) steps, so that rows of a vector end
    apart."""

    def __init__(self, seen=7, done=3, first=5, observation_space=None, action_space=None):
        self.observation_space = observation_space or gymnasium.spaces.Box(-np.inf, np.inf, (seen,))
        self.action_space = action_space or gymnasium.spaces.Box(-0.2, 0.2, (done,))
        self.first, self.episodes, self.seeds, self.actions = first, 0, [], []

    def _seen(self):
        return self.observation_space.sample()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.seeds.append(seed)
        self.left = self.first + self.episodes
        self.episodes += 1
        return self._seen(), {}

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.actions.append(action)
        self.left -= 1
        return self._seen(), 1.0, self.left == 0, False, {}


SERVER = """
import sys; sys.path[:0] = {path!r}
import bridging, efferent
with efferent.Bridge(bridging.policy({name!r}).session(), {endpoint!r}) as bridge:
    print(bridge.endpoint, flush=True)
    while True:
        bridge.poll(1.0)
"""

STEPPER = """
import sys; sys.path[:0] = {path!r}
import numpy as np
from efferent.client import Client
client = Client({endpoint!r}, timeout=5.0)
client.reset()
print("steps", flush=True)
while True:
    client.step({{"obs": np.ones((1, 7), np.float32)}})
"""


def process(script, **values):
    """Starts a script of this module and waits for its first line."""
    script = script.format(path=[str(PACKAGE), str(Path(__file__).parent)], **values)
    made = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    line = made.stdout.readline().strip()
    assert line, f"the process ended with {made.wait()}"
    return made, line


def until(what, seconds=10.0):
    """Waits for a condition."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
