"""The pickle of a Stable-Baselines3 VecNormalize."""
import numpy as np

from ..errors import FormatError
from .pickles import record
from .sb3 import SPACES

STATISTICS = {
    **SPACES, "stable_baselines3.common.vec_env.vec_normalize VecNormalize": record("VecNormalize"),
    "stable_baselines3.common.running_mean_std RunningMeanStd": record("RunningMeanStd"),
}


class Normalizer:
    """The statistics of a VecNormalize pickle, by key of the observation; None is the observation that is no
    dictionary."""

    def __init__(self, parts, reward_scale=1.0):
        self.parts, self.seen = parts, set()
        self.reward_scale = reward_scale  # what rewards were divided by

    def of(self, key):
        self.seen.add(key)
        return self.parts.get(key)

    def expect_seen(self):
        for key in self.parts:
            if key not in self.seen:
                raise FormatError(f"the normalizer has statistics of "
                                  f"{'one observation' if key is None else repr(key)}, which is not what the policy "
                                  f"observes")


def is_statistics(value):
    return getattr(value, "kind", None) == "VecNormalize"


def statistics(found):
    """{key: mean, var, eps, clip} of a VecNormalize record."""
    if not found.get("norm_obs", default=True):
        return {}
    rms = found.get("obs_rms")
    parts = rms if isinstance(rms, dict) else {None: rms}
    out = {}
    for key, part in parts.items():
        mean, var = (np.asarray(part.get(n)) if hasattr(part, "get") else None for n in ("mean", "var"))
        if mean is None or var is None or mean.dtype.kind != "f" or mean.shape != var.shape:
            raise FormatError("the VecNormalize pickle has no mean and variance of observations")
        out[key] = {"mean": mean, "var": var, "eps": float(found.get("epsilon", default=1e-8)),
                    "clip": float(found.get("clip_obs", default=10.0))}
    return out


def reward_scale(found):
    """sqrt(var + eps) of the discounted return, by which rewards were divided; 1 where they were not."""
    if not found.get("norm_reward", default=False):
        return 1.0
    var = found.get("ret_rms", default=None)
    var = np.asarray(var.get("var")) if hasattr(var, "get") else None
    if var is None or var.size != 1 or not np.isfinite(var).all():
        raise FormatError("the VecNormalize pickle normalizes rewards, but has no variance of returns")
    return float(np.sqrt(var + float(found.get("epsilon", default=1e-8))))
