"""LatentLearner: a frozen generative policy is steered by the noise that it is given."""
from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._types import StrPath
from .errors import ArgumentError, ShapeError, StateError
from .learner import Learner
from .policy import Policy, Tensor

# a described actor begins with mean 0 and the standard deviation softplus(0)
STANDARD = 1 / math.log(2)
WORDS = {"noise", "latent", "latents", "z", "eps", "epsilon", "sample"}


class LatentLearner:
    """Learns the noise of a diffusion or flow policy, whose weights stay as they are (DSRL, arXiv 2506.15799).

        steered = efferent.LatentLearner("flow.onnx", latent="noise")
        action = steered.act(observation)
        steered.update(next_observation, reward, terminated, truncated)

    Whatever noise is chosen, the action is one that the policy could have made by itself: it stays within what was
    demonstrated. It begins with the standard normal noise that such policies are trained with.

    `latent`      name of the input that is noise; left out: the one whose name says so
    `sees`        names of the inputs that the learner sees, in order; left out: all others. Of an image give the small
                  ones alone
    `limit`       noise is at most so large, in standard deviations
    `options`     those of Learner. Without `preset` it learns by "stream-x" with small steps (kappa_policy 30): where
                  the policy does well already, it stays so

    `learner`, `session` and `policy` are the parts; the learner's actions are the noise, divided by 1.4427. A policy
    with state begins anew with every episode. One caller at a time.
    """

    def __init__(self, policy: Policy | StrPath | bytes, latent: str | None = None, *,
                 sees: Sequence[str] | None = None, limit: float = 3.0, preset: str | None = None, seed: int = 0,
                 **options: Any) -> None:
        if not limit > 0:
            raise ArgumentError(f"limit is {limit}, expected more than 0")
        self.policy = policy if isinstance(policy, Policy) else Policy(policy)
        inputs = [t for t in self.policy.inputs if t.role != "state"]
        noise = _noise(inputs, latent)
        others = [t.name for t in inputs if t is not noise]
        sees = others if sees is None else list(sees)
        if unknown := [name for name in sees if name not in others]:
            raise ArgumentError(f"sees: '{unknown[0]}' is not one of {', '.join(others) or 'no inputs'}")
        if not sees:
            raise ArgumentError(f"the learner would see nothing: the policy has no input beside '{noise.name}'")
        action = self.policy.action
        if action is None:
            raise StateError(f"the policy has no action among {', '.join(self.policy.outputs.names)}: name one "
                             f"(action of Policy)")
        self.latent, self.sees, self.limit = noise.name, tuple(sees), float(limit)
        self._others, self._action = others, action.name
        self.session = self.policy.session(seed=seed)
        self._views = {name: self.session.input(name) for name in (*others, noise.name)}
        self._place = self._views[noise.name]
        self._seen = np.zeros(sum(self._views[name].size for name in sees))
        if preset is None:
            preset, options = "stream-x", {"kappa_policy": 30.0} | options
        self.learner = Learner(self._seen.size, self._place.size, "stream-ac", preset=preset, seed=seed, **options)

    def act(self, observation: ArrayLike | Mapping[str, ArrayLike]) -> np.ndarray:
        """The action of the policy, under noise that the learner tries.

        `observation`: an array where the policy has one input beside the noise, else {name: array} of all of them.
        """
        self._write(observation)
        return self._run(self.learner.act(self._seen))

    def infer(self, observation: ArrayLike | Mapping[str, ArrayLike]) -> np.ndarray:
        """The action under the noise that was learned, without exploration; nothing is learned or counted."""
        self._write(observation)
        return self._run(self.learner.infer(self._seen))

    def update(self, observation: ArrayLike | Mapping[str, ArrayLike], reward: float, terminated: bool = False,
               truncated: bool = False, dt: float = 0.0) -> Any:
        """Learns from what followed the last `act`, as `Learner.update`."""
        self._write(observation)
        telemetry = self.learner.update(self._seen, reward, terminated, truncated, dt=dt)
        if terminated or truncated:
            self.reset()
        return telemetry

    def reset(self) -> None:
        """The policy's recurrent state, if it has one, begins anew; `update` does it where an episode ends."""
        self.session.reset()

    def save(self, path: StrPath) -> None:
        """Writes what was learned to a file, which is replaced as a whole; the policy is not in it."""
        self.learner.save(path)

    def restore(self, path: StrPath) -> None:
        """Continues bit for bit where the learner that wrote the file was."""
        self.learner.restore(path)

    def __repr__(self):
        return f"LatentLearner({self.latent}, sees={', '.join(self.sees)}, {self.policy!r})"

    # ---- inside ----

    def _write(self, observation):
        if not isinstance(observation, Mapping):
            if len(self._others) != 1:
                raise ArgumentError(f"the policy reads {', '.join(self._others)}: give {{name: array}} of all of them")
            observation = {self._others[0]: observation}
        if observation.keys() != set(self._others):
            raise ArgumentError(f"observation has {', '.join(map(str, observation)) or 'nothing'}, expected "
                                f"{', '.join(self._others)}")
        for name, values in observation.items():
            view, values = self._views[name], np.asarray(values)
            if values.size != view.size:
                raise ShapeError(f"{name} has {values.size} numbers, expected {view.size}")
            view[...] = values.reshape(view.shape)
        self._seen[:] = np.concatenate([self._views[name].reshape(-1) for name in self.sees])

    def _run(self, chosen):
        self._place[...] = np.clip(STANDARD * chosen, -self.limit, self.limit).reshape(self._place.shape)
        return self.session.run()[self._action]


def _noise(inputs: list[Tensor], name: str | None) -> Tensor:
    """The input that is noise, by name or by what its name says."""
    found = ", ".join(t.name for t in inputs)
    if name is None:
        said = [t for t in inputs if WORDS & set(re.split(r"[^a-z]+", t.name.lower()))]
        if len(said) != 1:
            raise ArgumentError(f"{len(said)} of the inputs {found} are noise by their names, expected 1: name it "
                                f"(latent)")
        name = said[0].name
    noise = next((t for t in inputs if t.name == name), None)
    if noise is None:
        raise ArgumentError(f"latent '{name}' does not exist, expected one of {found}")
    if noise.type not in ("f32", "f64"):
        raise ArgumentError(f"latent '{name}' is {noise.type}, expected f32 or f64")
    return noise
