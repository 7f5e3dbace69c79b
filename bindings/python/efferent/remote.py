"""RemoteLearner: the plant's end of a bridge that serves a learner. Needs no libefferent on the plant's machine."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._closes import Closes
from .client import Client
from .errors import MismatchError


class Told(NamedTuple):
    """What came of an update."""

    td_error: float
    reason: int  # EFF_LEARNED_...


class RemoteLearner(Closes):
    """A learner behind a bridge, with the `act` and `update` of one that is here.

        with RemoteLearner("tcp://127.0.0.1:5555") as learner:
            efferent.lab.Rollout(env, learner).advance(10_000)

    `client` are the arguments of `efferent.Client`. One round trip per step: an update brings the next action.
    """

    def __init__(self, endpoint: str, **client: Any) -> None:
        self.client = Client(endpoint, aux=True, **client)
        found = [f.name for f in self.client.inputs]
        if found != ["observation", "reward", "terminated", "truncated"]:
            self.client.close()
            raise MismatchError(f"{endpoint}: serves inputs {', '.join(map(repr, found))}, expected a learner's")
        self.observations = self.client.inputs[0].count
        self._action = None
        self._fresh = True

    def _step(self, observation, reward, terminated, truncated):
        told = self.client.step({
            "observation": np.reshape(observation, (1, -1)), "reward": np.array([[reward]]),
            "terminated": np.array([[terminated]], bool),
            "truncated": np.array([[truncated]], bool)})
        self._action = told["action"][0]
        return told

    def act(self, observation: ArrayLike) -> Any:
        """The action to take: an array, or of one number. The observation matters where an episode begins; then it is
        that of the last update."""
        if self._fresh:
            self.client.reset()
            self._step(observation, 0.0, False, False)
            self._fresh = False
        return self._action

    def update(self, observation: ArrayLike, reward: float, terminated: bool = False, truncated: bool = False) -> Any:
        """Tells what followed the last action; returns TD error and reason."""
        told = self._step(observation, reward, terminated, truncated)
        self._fresh = bool(terminated or truncated)
        return Told(float(told["td_error"][0, 0]), int(told["reason"][0, 0]))

    def close(self) -> None:
        self.client.close()
