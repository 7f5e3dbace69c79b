"""Signals for a recording: what a walk shows, what a walk never shows, and what must be refused."""
import math

import numpy as np


def walk(recorder, loop, content, seconds, rng):
    """A closed loop whose commands change every 0.4 s, and which begins anew after three quarters. The loop's own
    controller is not ticked."""
    c, ticks = recorder.controller, max(4, round(seconds / recorder.controller.control_period))
    own, loop.controller = loop.controller, c
    try:
        loop.reset()
        anew, hold = ticks * 3 // 4, max(1, round(0.4 / c.control_period))
        for tick in range(ticks):
            if tick % hold == 0:
                for name, values in loop.commands.items():
                    values[:] = command(content, name, values.size, rng, 0.8) if tick else 0.0
            is_new = tick in (0, anew)
            if is_new:
                loop.reset()
            loop.step(lambda signals: recorder.tick(signals, reset=is_new))
    finally:
        loop.controller = own
        loop.reset()


def excite(recorder, content, rng, ticks=None):
    """Random raw signals for some policy ticks, then commands on both sides of every threshold, and signals far beyond
    any clip."""
    c = recorder.controller
    ratio = max(1, round(content["policy_period"] / c.control_period))
    history = max([0,
                   *(a for v in (content.get("vectors") or {}).values() for t in v["terms"] for a in t.get("ages")
                     or [0])])
    runs = 14 + 2 * min(history, 70) if ticks is None else ticks
    probes = list(conditions(content))
    beyond = {name: high for name, _, high in ends(content)}
    for k in range(runs * ratio):
        is_new = k in (0, runs * ratio // 2 + 1)
        # an episode begins with a command from which its first value can be told
        recorder.tick({**raw(c, content, rng), **(beyond if is_new else {})}, reset=is_new)
    # both sides of every threshold on a command, from a moving command and back
    for name, values in probes:
        for given in values:
            for _ in range(2 * ratio):
                recorder.tick({**raw(c, content, rng), name: given})
    # from one end of a command's range to the other, and beyond
    for name, low, high in ends(content):
        for given in (low, high, low):
            for _ in range(3 * ratio):
                recorder.tick({**raw(c, content, rng), name: given})
    # far beyond every clip and on both sides, held until filters have settled; mostly with joints where robots have
    # them
    for size, near in ((30.0, True), (30.0, True), (30.0, True), (30.0, False), (1000.0, False)):
        state = raw(c, content, rng, size, near)
        for given in (state, mirrored(c, content, state)):
            for _ in range(max(6 * ratio, 12) if size < 100 else 2 * ratio):
                recorder.tick(given)
    for _ in range((2 + min(history, 70)) * ratio):
        recorder.tick(raw(c, content, rng))


def faults(recorder, content, rng):
    """What the guard of the card refuses, on both sides of its limits; the fallback ladder by time; the ramp."""
    c, safety = recorder.controller, content.get("safety") or {}
    period = c.control_period
    now = float(recorder._kept["time"][-1])

    def tick(signals, after=period, **more):
        nonlocal now
        now += after
        recorder.tick(signals, now, **more)

    def level():
        return raw(c, content, rng)

    tick(level(), reset=True)
    limit = safety.get("data_age")
    if limit:
        for share in (0.98, 1.02):
            tick(level(), stamp=now + period - share * limit)
        tick(level())
    orientation = next((s.name for s in c.signals if s.name == "base.orientation"), None)
    for key, axis in (("roll_limit", 0), ("pitch_limit", 1)):
        if safety.get(key) and orientation:
            for share in (0.98, 1.02, -0.98, -1.02):
                angles = [0.0, 0.0, 0.3]
                angles[axis] = share * safety[key]
                if abs(angles[axis]) < math.pi / 2:
                    tick({**level(), orientation: quaternion(*angles)})
    needed = next((name for name in c.needs if name != "time"), None)
    if needed is not None:
        # down the ladder: just before and after each of its steps
        tick(level(), after=1.0)
        tick(level(), after=1.0)
        bad = level()
        bad[needed] = np.full_like(bad[needed], np.nan)
        steps = [s.get("seconds") or 0.0 for s in safety.get("fallback") or [{"seconds": 0.05}, {}]]
        tick(bad)
        for seconds in steps:
            if seconds:
                for share in (0.4, 0.58, 0.04):
                    tick(bad, after=share * seconds)
            else:
                tick(bad)
        for _ in range(3):
            tick(level(), after=0.07)
    startup = content.get("startup") or {}
    for _ in range(2):
        tick(level(), after=1.0)
    for share in (0.0, 0.3, 0.3, 0.39, 0.02):
        tick(level(), after=share * float(startup.get("seconds") or 2.0) or period, mode="ramp")
    tick(level(), mode="hold")
    tick(level(), mode="damp")
    for _ in range(3):
        tick(level(), after=0.5)


def raw(controller, content, rng, size=1.0, near=False):
    """Raw signals of one tick. `size` is above 1 for values beyond what a robot shows (`near`: but for joints);
    orientations stay of unit length and nearly upright."""
    made = {}
    for s in controller.signals:
        if s.name not in controller.needs:
            continue
        kind = s.name.rpartition(".")[2]
        if s.name == "time":
            made[s.name] = np.zeros(s.count)
        elif "quaternion" in s.unit or kind == "orientation" and s.count == 4:
            made[s.name] = quaternion(*rng.uniform(-0.2, 0.2, 2), rng.uniform(-3, 3))
        elif s.name.startswith("command."):
            made[s.name] = command(content, s.name, s.count, rng, 1.3 * size)
        elif s.is_joint:
            spread = {"position": 0.5, "velocity": 3.0, "effort": 10.0}.get(kind, 1.0)
            made[s.name] = pose(controller, content, s.name) + (1.0 if near else size) * rng.normal(0, spread, s.count)
        else:
            made[s.name] = size * rng.normal(0, 1.0, s.count)
    return made


def pose(controller, content, signal):
    """The card's default positions in the robot's order, for "joint.position"; 0 for other signals."""
    joints = content.get("joints") or {}
    return np.array([(joints.get(j) or {}).get("default") or 0.0
                     for j in controller.joints]) if signal == "joint.position" else 0.0


def mirrored(controller, content, signals):
    """The same on the other side of the default pose and of zero; orientations stay."""
    units = {s.name: s.unit for s in controller.signals}
    return {k: v if "quaternion" in units[k] or k.endswith("orientation") else 2 * pose(controller, content, k) - v
            for k, v in signals.items()}


def ends(content):
    """(signal, below its range, above its range) of every command with a range."""
    for c in (content.get("commands") or {}).values():
        if any(c.get("range") or []):
            bounds = [r or [-1.0, 1.0] for r in c["range"]]
            widths = np.array([hi - lo for lo, hi in bounds])
            yield (
                c["signal"],
                np.array([lo for lo, _ in bounds]) - 0.3 * widths,
                np.array([hi for _, hi in bounds]) + 0.3 * widths,
            )


def command(content, signal, count, rng, size):
    """A command within `size` times its range; fields without one within 1. One in five is zero."""
    ranges = next((c.get("range") or [] for c in (content.get("commands") or {}).values() if c.get("signal") == signal),
                  [])
    bounds = [r or [-1.0, 1.0] for r in [*ranges, *[None] * count][:count]]
    if rng.random() < 0.2:
        return np.zeros(count)
    return np.array([(lo + hi) / 2 + size * (hi - lo) / 2 * rng.uniform(-1, 1) for lo, hi in bounds])


def conditions(content):
    """(signal, commands on both sides of the threshold) of everything in the card that asks whether a command is
    small."""
    def walk_through(node):
        if isinstance(node, dict):
            if "below" in node and node.get("command"):
                yield node
            for v in node.values():
                yield from walk_through(v)
        elif isinstance(node, list):
            for v in node:
                yield from walk_through(v)

    for node in walk_through(content):
        c = (content.get("commands") or {}).get(node["command"])
        if c is None or not node.get("below"):
            continue
        fields = list(c["fields"])
        parts = node.get("parts") or [node.get("fields") or fields]
        values = []
        for part in parts:
            for field in part:
                for share in (0.0, 0.98, 1.02):
                    given = np.zeros(len(fields))
                    given[fields.index(field)] = share * node["below"]
                    values.append(given)
        yield c["signal"], values


def quaternion(roll, pitch, yaw):
    """w, x, y, z of a rotation by yaw about z, then pitch about y, then roll about x."""
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(a / 2), math.sin(a / 2)) for a in (roll, pitch, yaw))
    return np.array([cr * cp * cy + sr * sp * sy, sr * cp * cy - cr * sp * sy, cr * sp * cy + sr * cp * sy,
                     cr * cp * sy - sr * sp * cy])
