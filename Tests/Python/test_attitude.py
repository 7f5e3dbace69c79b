"""The limits of roll and pitch against angles by numpy, also next to a limit, beyond a right angle and upside down."""
import efferent
import numpy as np
import pytest
from test_controller import card, controller, signals, term

RIGHT = np.pi / 2


def quaternion(roll, pitch, yaw):
    """R = Rz(yaw) Ry(pitch) Rx(roll), as w, x, y, z."""
    (a, b), (c, d), (e, f) = ((np.cos(x / 2), np.sin(x / 2)) for x in (roll, pitch, yaw))
    return np.array([a * c * e + b * d * f, b * c * e - a * d * f, a * d * e + b * c * f, a * c * f - b * d * e])


def measured(q):
    w, x, y, z = q
    sine = 2 * (w * y - x * z)
    return (np.arctan2(2 * (y * z + w * x), 1 - 2 * (x * x + y * y)), np.arcsin(np.clip(sine, -1, 1)))


@pytest.mark.parametrize("roll_limit, pitch_limit", [(0.5, 0.6), (1.2, 0.0), (0.0, 0.9), (2.5, 1.5), (3.5, 2.0),
                                                     (0.01, 0.02)])
def test_a_tick_is_refused_exactly_where_an_angle_is_beyond_its_limit(tmp_path, roll_limit, pitch_limit):
    c = controller(tmp_path, card([term("base_angular_velocity", 3)]), roll_limit=roll_limit, pitch_limit=pitch_limit)
    rng = np.random.default_rng(3)
    angles = [(r, p, y) for r, p, y in zip(rng.uniform(-np.pi, np.pi, 300), rng.uniform(-RIGHT, RIGHT, 300),
                                           rng.uniform(-np.pi, np.pi, 300))]
    angles += [(0.0, 0.0, y) for y in (-3.0, 0.0, 2.0)] + [(np.pi, 0.0, 0.0), (0.0, RIGHT, 0.0), (0.3, -RIGHT, 1.0)]
    for off in (-1e-3, -1e-5, -1e-7, -1e-9, 1e-9, 1e-7, 1e-5, 1e-3):
        for sign in (-1, 1):
            angles += [(sign * (roll_limit + off), 0.2, 1.0)] * (0 < roll_limit < np.pi)
            angles += [(0.1, sign * (pitch_limit + off), -2.0)] * (0 < pitch_limit < 1.55)
    names = set()
    for roll, pitch, yaw in angles:
        for norm in (1.0, 0.9925, 1.0075):
            q = quaternion(roll, pitch, yaw) * norm
            own_roll, own_pitch = measured(q)
            beyond = "roll" if 0 < roll_limit < abs(own_roll) else "pitch" if 0 < pitch_limit < abs(own_pitch) else ""
            names.add(beyond)
            try:
                c.tick(signals(**{"base.orientation": q}))
                assert beyond == "", (roll, pitch, yaw, norm)
            except efferent.StateError as e:
                assert beyond and f"{beyond} is" in str(e), (roll, pitch, yaw, norm, str(e))
    assert "" in names and len(names) > (roll_limit < np.pi) * (roll_limit > 0)
