"""LeRobot's normalizer: statistics by feature, for observations (normalized) and actions (brought back)."""
import json

import numpy as np

from ..errors import FormatError, UnsupportedError
from .network import Network
from .safetensors import Bfloat16

EPS = 1e-8
MODES = {"mean_std": ("mean", "std"), "min_max": ("min", "max"), "quantiles": ("q01", "q99"),
         "quantile10": ("q10", "q90")}


def features(tensors):
    """{feature: {statistic: array}}; empty where these are no statistics."""
    found = {}
    for name, array in tensors.items():
        feature, _, statistic = name.rpartition(".")
        if statistic in ("mean", "std", "min", "max", "count", "q01", "q10", "q50", "q90", "q99"):
            found.setdefault(feature,
                             {})[statistic] = np.asarray(array.widened() if isinstance(array, Bfloat16) else array,
                                                         np.float32)
    good = found and all(f.startswith(("observation", "action", "buffer_"))
                         for f in found) and sum(map(len, found.values())) == len(tensors)
    return found if good else {}


def modes(beside):
    """{"STATE": "mean_std", ...} from the pipeline's configuration beside the file, where there is one."""
    found = {}
    for path in sorted(beside.parent.glob("*.json")) if beside is not None else []:
        try:
            steps = json.loads(path.read_text()).get("steps", [])
        except (ValueError, OSError, AttributeError, RecursionError):
            continue
        for step in steps if isinstance(steps, list) else []:
            config = step.get("config", {}) if isinstance(step, dict) else {}
            norm_map = config.get("norm_map") if isinstance(config, dict) else None
            if isinstance(norm_map, dict):
                found |= {str(k): str(v).lower() for k, v in norm_map.items()}
    return found


def _mode(feature, statistics, given):
    kind = "ACTION" if feature.startswith("action") else "VISUAL" if "image" in feature else "STATE"
    mode = given.get(kind)
    if mode == "identity":
        return None
    if mode is None:
        complete = [m for m, parts in MODES.items() if all(p in statistics for p in parts)]
        if len(complete) != 1:
            raise UnsupportedError(f"feature '{feature}' has the statistics {', '.join(sorted(statistics))}: which of "
                                   f"them are used is in the configuration of the pipeline; "
                                   "keep its .json file beside the file of the statistics")
        mode = complete[0]
    if mode not in MODES or any(p not in statistics for p in MODES[mode]):
        raise FormatError(f"feature '{feature}' is normalized by {mode}, but has the statistics "
                          f"{', '.join(sorted(statistics))}")
    return mode


def normalize(net, feature, statistics, given):
    """An observation on its way in."""
    mode = _mode(feature, statistics, given)
    if mode is None:
        return
    if mode == "mean_std":
        net.normalize(f"{feature}.normalizer", statistics["mean"], std=statistics["std"], eps=EPS)
        return
    low, half = _range(statistics, mode)
    net.layer("normalizer", f"{feature}.normalizer", mean=net.tensor(f"{feature}.low", low),
              std=net.tensor(f"{feature}.half", half))
    net.layer("scale", f"{feature}.centered", offset=-1.0)
    net.note(f"normalizer of {feature}: {MODES[mode][0]} .. {MODES[mode][1]} to -1 .. 1")


def restore(net, feature, statistics, given):
    """An action on its way out: the inverse."""
    mode = _mode(feature, statistics, given)
    if mode is None:
        return
    if mode == "mean_std":
        scale, offset = statistics["std"], statistics["mean"]
    else:
        offset, scale = _range(statistics, mode)
        net.layer("scale", f"{feature}.positive", offset=1.0)
    if net.shape[-1:] != scale.shape:
        raise FormatError(f"the statistics of {feature} have {scale.size} numbers, but the network gives "
                          f"{list(net.shape)}")
    net.layer("scale", f"{feature}.restored", scale=net.tensor(f"{feature}.scale", scale),
              offset=net.tensor(f"{feature}.offset", offset))
    net.note(f"action: brought back by {mode}")


def _range(statistics, mode):
    """The lower end and half the width, which is never 0."""
    low, high = (statistics[p] for p in MODES[mode])
    width = high - low
    return low, np.where(width == 0, np.float32(EPS), width) / np.float32(2)


def convert(found, given):
    """The statistics alone: a policy that normalizes each observation and brings each action back."""
    net = Network("lerobot")
    for feature, statistics in found.items():
        shape = next(a.shape for a in statistics.values() if a.ndim)
        is_action = feature.startswith("action")
        net.input(feature, shape)
        (restore if is_action else normalize)(net, feature, statistics, given)
        net.output(feature if is_action else f"{feature}.normalized")
    net.outputs.sort(key=lambda o: not o["name"].startswith("action"))
    return net
