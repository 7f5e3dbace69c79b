"""The part of the C interface in controller.h, as in _table."""
from ctypes import (
    POINTER, Structure, c_char, c_char_p, c_double, c_int32, c_int64, c_size_t, c_ssize_t, c_uint64, c_void_p,
)

from ._table import Options, eff_allocator, handle, index, out, status
from ._table_learner import eff_transition, eff_update


class eff_fallback_step(Structure):
    _fields_ = [("mode", c_int32), ("reserved", c_int32), ("seconds", c_double), ("kp", c_double), ("kd", c_double)]


class eff_controller_model(Structure):
    _fields_ = [("name", c_char_p), ("policy", handle)]


class eff_motion_track(Structure):
    _fields_ = [("part", c_char_p), ("values", POINTER(c_double)), ("frames", c_size_t), ("width", c_size_t)]


class eff_controller_options(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("joints", POINTER(c_char_p)), ("joint_count", c_size_t),
        ("models", POINTER(eff_controller_model)), ("model_count", c_size_t),
        *[(name, c_double) for name in """control_period stale_limit roll_limit pitch_limit slew_limit deadline
                blend_seconds ramp_seconds""".split()],
        ("guard", c_int32), ("locked", c_int32), ("fallback", POINTER(eff_fallback_step)), ("fallback_count", c_size_t),
        ("seed", c_uint64),
        ("arena", c_void_p), ("arena_size", c_size_t), ("allocator", POINTER(eff_allocator)),
        ("motion", POINTER(eff_motion_track)), ("motion_count", c_size_t),
        ("recordings", POINTER(c_char_p)), ("recording_count", c_size_t),
        ("on_mismatch", c_int32), ("reserved", c_int32),
        ("learner", handle), ("learner_model", c_char_p),
    ]


class eff_signal_binding(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("name", c_char_p), ("data", c_void_p), ("stride", c_ssize_t),
        ("offsets", POINTER(c_ssize_t)), ("count", c_size_t),
        ("dtype", c_int32), ("reserved", c_int32), ("unit", c_char_p), ("layout", c_char_p), ("stale_limit", c_double),
    ]


class eff_target_binding(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("what", c_int32), ("dtype", c_int32), ("data", c_void_p), ("stride", c_ssize_t),
        ("offsets", POINTER(c_ssize_t)),
        ("count", c_size_t),
    ]


class eff_signal_spec(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("name", c_char_p), ("unit", c_char_p), ("count", c_size_t), ("is_joint", c_int32),
        ("is_bound", c_int32),
        ("is_optional", c_int32), ("reserved", c_int32),
    ]


class eff_controller_report(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        *[(name, c_int32) for name in "status mode fault signal joint model action ran".split()],
        ("value", c_double), ("limit", c_double),
        *[(name, c_uint64) for name in "ticks runs late refused clamped".split()],
        ("age_ns", c_int64), ("period_ns", c_int64),
    ]


class eff_recorded_array(Structure):
    _fields_ = [("name", c_char_p), ("values", POINTER(c_double)), ("rows", c_size_t), ("width", c_size_t)]


class eff_recording(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("path", c_char_p),
        ("arrays", POINTER(eff_recorded_array)), ("array_count", c_size_t),
        ("joints", POINTER(c_char_p)), ("joint_count", c_size_t),
        ("units", POINTER(c_char_p)), ("unit_count", c_size_t),
        ("policies", POINTER(c_char_p)), ("policy_count", c_size_t),
        ("control_period", c_double), ("policy_period", c_double),
        ("guard", c_int32), ("stops_at_first", c_int32), ("absolute", c_double), ("relative", c_double),
    ]


class eff_preflight_row(Structure):
    _fields_ = [
        ("name", c_char * 192), ("difference", c_double), ("found", c_double), ("expected", c_double),
        ("tick", c_int64), ("is_same", c_int32), ("reserved", c_int32),
    ]


class eff_preflight_report(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("differs", c_int32), ("reserved", c_int32), ("tick", c_int64), ("found", c_double),
        ("expected", c_double), ("name", c_char * 192), ("what", c_char * 512), ("unchecked", c_char * 512),
        ("notes", c_char * 512),
        ("rows", POINTER(eff_preflight_row)), ("row_capacity", c_size_t), ("row_count", c_size_t),
    ]


FUNCTIONS = {
    "eff_controller_options_default": (None, [POINTER(eff_controller_options), c_size_t]),
    "eff_controller_arena_size": (status, [handle, POINTER(eff_controller_options), POINTER(c_size_t)]),
    "eff_controller_create": (status, [handle, POINTER(eff_controller_options), out]),
    "eff_controller_signal": (status, [handle, index, POINTER(eff_signal_spec)]),
    "eff_controller_find_signal": (c_int64, [handle, c_char_p]),
    "eff_controller_commands": (c_int32, [handle, c_int32]),
    "eff_controller_bind": (status, [handle, POINTER(eff_signal_binding)]),
    "eff_controller_bind_target": (status, [handle, POINTER(eff_target_binding)]),
    "eff_controller_start": (status, [handle]),
    "eff_controller_preflight": (status, [handle, POINTER(eff_recording), POINTER(eff_preflight_report)]),
    "eff_controller_tick": (status, [handle, c_int64, POINTER(eff_controller_report)]),
    "eff_controller_reset": (status, [handle]),
    "eff_controller_mode": (status, [handle, c_int32]),
    "eff_controller_stamp": (status, [handle, c_int64, c_int64]),
    "eff_controller_reward": (status, [handle, POINTER(eff_transition)]),
    "eff_controller_learned": (status, [handle, POINTER(eff_update)]),
    "eff_controller_last": (status, [handle, POINTER(eff_controller_report)]),
    "eff_controller_clamps": (c_int64, [handle, c_size_t]),
    "eff_controller_explain": (status, [handle, POINTER(eff_controller_report), c_char_p, c_size_t]),
    "eff_controller_vector": (c_void_p, [handle, c_char_p, POINTER(c_size_t)]),
    "eff_controller_input": (c_void_p, [handle, c_size_t, c_size_t]),
    "eff_controller_output": (c_void_p, [handle, c_size_t, c_size_t]),
    "eff_controller_session": (handle, [handle, c_char_p]),
    "eff_controller_destroy": (None, [handle]),
}
