"""Trainers' checkpoints -> policy files (Sources/Safetensors/FORMAT.md). Nothing of a checkpoint is executed: see
`pickles`."""
import os
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from ..errors import ArgumentError, FileError, FormatError, UnsupportedError
from . import cleanrl, lerobot, rsl_rl, sb3, skrl, torchfile, vec_normalize
from .archive import Archive
from .pickles import loads
from .safetensors import KEY
from .safetensors import loads as tensors_of

MOST_PICKLE = 256 << 20  # bytes of a normalizer


class Conversion(NamedTuple):
    """What a conversion made. `notes` say what was found and what was assumed, a line each."""

    data: bytes
    trainer: str
    inputs: list
    outputs: list
    layers: list
    notes: list
    critic: bytes | None = None  # with learnable: the value of a state, as a policy file of its own


def convert(checkpoint, output=None, *, normalizer=None, activation=None, normalizer_eps=None, normalizer_clip=None,
            squash=False, action_low=None,
            action_high=None, actions=None, learnable=False, reward_scale=None):
    """Turns a trainer's checkpoint into a policy file that gives the trainer's deterministic action, its normalizer and
    limits included.

    checkpoint  a path: a Stable-Baselines3 zip, an rsl_rl or skrl .pt, a torch state dict of an MLP, a safetensors file
                of one, or LeRobot's statistics
    output      a path to write (.safetensors), or None for the bytes alone, in `data` of the result
    normalizer  a path: the VecNormalize pickle of an SB3 zip, or LeRobot's statistics for a network that was saved
                without them
    activation  of the hidden layers, where the checkpoint does not say: relu, elu, tanh, ...
    normalizer_eps, normalizer_clip   where the trainer's defaults were changed (rsl_rl, skrl)
    squash, action_low, action_high   tanh at the end, and limits: the action is unscaled to them after tanh, otherwise
                                      clipped (rsl_rl, skrl)
    actions     number of actions, where the network also gives their std (rsl_rl)
    learnable   for efferent.Learner(policy=output, critic=critic_path(output)): the std becomes an output of the
                policy, the critic a file of its own (`critic` of the result); what the checkpoint lacks is in the notes
    reward_scale   what rewards were multiplied by in training; values are divided by it (skrl's rewards_shaper_scale)

    Raises FileError, FormatError, UnsupportedError, ShapeError or ArgumentError; nothing in the checkpoint is executed.
    Returns a `Conversion`.
    """
    if (action_low is None) != (action_high is None):
        raise ArgumentError("action_low and action_high go together")
    options = SimpleNamespace(activation=activation, normalizer_eps=normalizer_eps, normalizer_clip=normalizer_clip,
                              squash=squash, action_low=action_low,
                              action_high=action_high, actions=actions, learnable=learnable,
                              reward_scale=reward_scale)
    net = _network(Path(checkpoint), Path(normalizer) if normalizer is not None else None, options)
    if reward_scale is not None and (net.metadata["trainer"] != "skrl" or not learnable):
        raise ArgumentError(f"reward_scale is for the critic of skrl's checkpoints, with learnable; this one is of "
                            f"{net.metadata['trainer']}")
    data = net.dumps()
    if output is not None:
        _write(Path(output), data)
    critic = net.critic.dumps() if net.critic is not None else None
    if critic is not None and output is not None:
        _write(critic_path(output), critic)
    return Conversion(data, net.metadata["trainer"], net.inputs, net.outputs, net.layers, net.notes, critic)


def critic_path(output):
    """Where `convert` writes the critic: policy.critic.safetensors beside policy.safetensors."""
    output = Path(output)
    return output.with_name(f"{output.stem}.critic{output.suffix}")


def _read(path):
    try:
        return path.read_bytes()
    except OSError as e:
        raise FileError(f"'{path}' cannot be read: {e.strerror}") from None


def _write(path, data):
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as e:
        raise FileError(f"'{path}' cannot be written: {e.strerror}") from None


def _network(path, normalizer, options):
    data = _read(path)
    what = f"'{path}'"
    if data[:4] == b"PK\x03\x04":
        archive = Archive(path, what)
        if sb3.matches(archive):
            return sb3.convert(archive, _statistics(normalizer) if normalizer else vec_normalize.Normalizer({}),
                               options)
        return _finish(_torch(torchfile.load(data, what), options), normalizer)
    if data[8:9] == b"{":
        return _tensors(data, path, normalizer, options)
    if data[:1] == b"\x80":
        return _pickle(data, path, what)
    hint = (
        "; it is an ONNX model or another file: 'efferent inspect' says more"
        if len(data) > 8
        else f" ({len(data)} bytes)"
    )
    raise FormatError(f"{what} is no checkpoint that is known: expected a Stable-Baselines3 zip, a torch checkpoint or "
                      f"safetensors{hint}")


def _torch(root, options):
    if rsl_rl.matches(root):
        return rsl_rl.convert(root, options)
    if skrl.matches(root):
        return skrl.convert(root, options)
    if cleanrl.matches(root):
        return cleanrl.convert(root, options)
    if isinstance(root, dict):
        inner = next((root[k] for k in ("state_dict", "model", "actor", "policy_state_dict")
                      if isinstance(root.get(k), dict)), root)
        return rsl_rl.flat(inner, {}, options)
    raise UnsupportedError(f"the checkpoint holds a {type(root).__name__}, expected a dictionary of tensors")


def _tensors(data, path, normalizer, options):
    tensors, metadata = tensors_of(data, f"'{path}'")
    if KEY in metadata:
        raise ArgumentError(f"'{path}' is a policy file already")
    found = lerobot.features(tensors)
    if found:
        return lerobot.convert(found, lerobot.modes(path))
    return _finish(rsl_rl.flat(tensors, metadata, options), normalizer)


def _finish(net, normalizer):
    """LeRobot's statistics around a network that was saved without them."""
    if normalizer is None:
        return net
    data = _read(normalizer)
    found = lerobot.features(tensors_of(data, f"'{normalizer}'")[0]) if data[8:9] == b"{" else {}
    if not found:
        raise UnsupportedError(f"'{normalizer}' is not a normalizer for this checkpoint: expected LeRobot's statistics "
                               f"(safetensors); rsl_rl and skrl checkpoints hold their own")
    given = lerobot.modes(normalizer)
    states = [f for f in found if f.startswith("observation") and "image" not in f]
    if len(states) != 1:
        raise UnsupportedError(f"'{normalizer}' has statistics of {', '.join(states) or 'no observation'}, expected "
                               f"one observation")
    source, first = net.inputs[0]["name"], len(net.layers)
    end = (net.last, net.shape)
    net.goto(source, net.inputs[0]["shape"])
    lerobot.normalize(net, states[0], found[states[0]], given)
    made = net.layers[first:]
    del net.layers[first:]
    for layer in net.layers:
        if made and layer["from"] == source:
            layer["from"] = made[-1]["name"]
    net.layers[:0] = made
    net.goto(*end)
    for feature, statistics in found.items():
        if feature.startswith("action"):
            lerobot.restore(net, feature, statistics, given)
            net.outputs[0]["from"] = net.last
    return net


def _statistics(path):
    data = _read(path)
    if len(data) > MOST_PICKLE:
        raise FormatError(f"'{path}' has {len(data)} bytes, expected at most {MOST_PICKLE} of a VecNormalize pickle")
    found = loads(data, vec_normalize.STATISTICS, what=f"'{path}'")
    if not vec_normalize.is_statistics(found):
        raise FormatError(f"'{path}' holds no VecNormalize")
    return vec_normalize.Normalizer(vec_normalize.statistics(found), vec_normalize.reward_scale(found))


def _pickle(data, path, what):
    found = loads(data[:MOST_PICKLE], {**vec_normalize.STATISTICS, **torchfile.ADMITTED}, what=what)
    if vec_normalize.is_statistics(found):
        raise ArgumentError(f"{what} is the normalizer of a policy: efferent convert POLICY.zip --normalizer '{path}'")
    raise UnsupportedError(f"{what} is a pickle of {type(found).__name__}, not a checkpoint that is known")
