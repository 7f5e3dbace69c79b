"""From what an environment sees to what a policy takes, and back: one function per input and output, made once."""
import numpy as np
from gymnasium import spaces

from .errors import NumericError, ShapeError


def one_hot(indices, sizes):
    """`[rows, len(sizes)]` of indices as `[rows, sum(sizes)]` of zeros and ones."""
    indices = np.asarray(indices, np.int64).reshape(-1, len(sizes))
    out = np.zeros((len(indices), int(sum(sizes))), np.float32)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64)
    out[np.arange(len(indices))[:, None], starts + indices] = 1
    return out


def _converter(space, count):
    """(element type, function from `[rows, ...]` of the space to `[rows, count]`), or None where they do not fit."""
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        if count == 1:
            return np.int64, lambda v: np.reshape(v, (-1, 1))
        if count == space.n:
            return np.float32, lambda v: one_hot(np.reshape(v, (-1, 1)) - start, [space.n])
    elif isinstance(space, spaces.MultiDiscrete):
        if count == space.nvec.size:
            return space.dtype, lambda v: np.reshape(v, (-1, count))
        if count == space.nvec.sum():
            sizes, start = space.nvec.reshape(-1), np.asarray(space.start).reshape(-1)
            return np.float32, lambda v: one_hot(np.reshape(v, (-1, sizes.size)) - start, sizes)
    elif isinstance(space, (spaces.Box, spaces.MultiBinary)):
        if count == int(np.prod(space.shape, dtype=np.int64)):
            return space.dtype, lambda v: np.reshape(v, (-1, count))
    return None


def _leaf(space, field, name):
    """Function from `[rows, ...]` of one space to the array of an input."""
    converter = _converter(space, field.count)
    if converter is None:
        raise ShapeError(f"input '{field.name}': the environment has {name} {space}, expected {field}")
    dtype, convert = converter
    if not np.can_cast(dtype, field.type, "same_kind"):
        raise ShapeError(f"input '{field.name}': the environment has {np.dtype(dtype)}, which does not become "
                         f"{field.dtype}: {name} {space}, expected {field}")
    return lambda v: convert(np.asarray(v)).reshape(-1, *field.shape)


def observer(space, fields, constants):
    """Function from a batched observation of `space` (that of one row) to `{input name: [rows, ...]}`; `constants`
    stand as they are."""
    wanted = [f for f in fields if f.name not in constants]
    if not isinstance(space, spaces.Dict):
        if len(wanted) != 1:
            names = ", ".join(f"'{f.name}'" for f in wanted) or "none"
            raise ShapeError(f"the environment has one observation, {space}, expected the inputs {names}; give others "
                             f"as constants")
        name, convert = wanted[0].name, _leaf(space, wanted[0], "the observation")
        return lambda observation: {name: convert(observation), **constants}
    if len(wanted) == 1 and wanted[0].name not in space.spaces:
        return _flattener(space, wanted[0], constants)
    for field in wanted:
        if field.name not in space.spaces:
            raise ShapeError(f"input '{field.name}': no such observation, found {', '.join(map(repr, space.spaces))}, "
                             f"expected {field}")
    converts = {f.name: _leaf(space[f.name], f, f"'{f.name}'") for f in wanted}
    return lambda observation: {**{name: convert(observation[name]) for name, convert in converts.items()}, **constants}


def _flattener(space, field, constants):
    """Function that joins all parts of a dict observation, in the order of the space, into one input."""
    parts, total = [], 0
    for key, part in space.spaces.items():
        count = part.n if isinstance(part, spaces.Discrete) else int(np.prod(part.shape or (0,), dtype=np.int64))
        converter = _converter(part, int(count))
        if converter is None or not np.can_cast(converter[0], field.type, "same_kind"):
            raise ShapeError(f"input '{field.name}': no such observation, found {', '.join(map(repr, space.spaces))}, "
                             f"expected {field}")
        parts.append((key, converter[1]))
        total += int(count)
    if total != field.count:
        raise ShapeError(f"input '{field.name}': the observations {', '.join(map(repr, space.spaces))} have {total} "
                         f"elements, expected {field}")
    shape = (-1, *field.shape)
    return lambda observation: {field.name: np.concatenate([f(np.asarray(observation[k])) for k, f in parts],
                                                           axis=1).reshape(shape), **constants}


def actor(space, field, clip):
    """Function from the policy's action `[rows, ...]` to that of the environment, a row per environment."""
    integer = np.issubdtype(field.type, np.integer)
    count = field.count
    misfit = ShapeError(f"output '{field.name}': the policy gives {field}, expected one action of {space}")

    def finite(action):
        if not integer and not np.isfinite(action).all():
            row = int(np.argmin(np.isfinite(action).reshape(len(action), -1).all(axis=1)))
            raise NumericError(f"output '{field.name}': row {row} is not finite: {action[row].tolist()}")
        return action

    if isinstance(space, spaces.Box):
        if count != int(np.prod(space.shape, dtype=np.int64)):
            raise misfit
        whole = np.issubdtype(space.dtype, np.integer)

        def act(action):
            action = finite(action).reshape(-1, *space.shape)
            if whole and not integer:
                action = np.rint(action)
            if clip:
                action = np.clip(action, space.low, space.high)
            return action.astype(space.dtype)

        return act
    if isinstance(space, spaces.Discrete):
        start = space.start
        if count == space.n and not integer:
            return lambda action: finite(action).reshape(-1, count).argmax(axis=1) + start
        if count == 1 and integer:
            return lambda action: action.reshape(-1).astype(np.int64)
    if isinstance(space, spaces.MultiDiscrete):
        sizes, start = space.nvec.reshape(-1), np.asarray(space.start).reshape(-1)
        if count == sizes.sum() and not integer:
            ends = np.cumsum(sizes)

            def choose(action):
                action = finite(action).reshape(-1, count)
                best = [action[:, end - size:end].argmax(axis=1) for size, end in zip(sizes, ends)]
                return (np.stack(best, axis=1) + start).reshape(-1, *space.shape)

            return choose
        if count == sizes.size and integer:
            return lambda action: action.reshape(-1, *space.shape).astype(space.dtype)
    if isinstance(space, spaces.MultiBinary) and count == int(np.prod(space.shape)):
        return lambda action: (finite(action).reshape(-1, *space.shape) > 0).astype(space.dtype)
    raise misfit
