"""The part of the C interface in bridge.h, as in _table."""
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

from ._table import Options, handle, out, status

BINS, REASONS = 32, 16


class eff_bridge_event(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("kind", c_int32), ("reason", c_int32), ("session", c_uint32), ("episode", c_uint32),
        ("seq", c_uint64),
        ("simulation_ns", c_uint64), ("rows", c_uint64), ("tick_ns", c_uint64), ("run_ns", c_uint64),
    ]


EVENT_FUNCTION = CFUNCTYPE(None, c_void_p, POINTER(eff_bridge_event))


class eff_bridge_options(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("endpoint", c_char_p), ("allow_remote", c_int32), ("idle_timeout_ms", c_int32),
        ("high_water", c_int32),
        ("reserved", c_int32), ("rate", c_double), ("context", c_void_p),
        ("observation_names", POINTER(c_char_p)), ("observation_count", c_size_t), ("joint_names", POINTER(c_char_p)),
        ("joint_count", c_size_t),
        ("on_event", EVENT_FUNCTION), ("user", c_void_p), ("checksum", c_int32), ("non_finite", c_int32),
        ("max_peers", c_int32), ("thread_policy", c_int32), ("thread_priority", c_int32), ("spin_us", c_int32),
        ("thread_cpus", POINTER(c_int32)), ("thread_cpu_count", c_size_t), ("thread_name", c_char_p),
        ("key_file", c_char_p), ("secret_key", c_char_p), ("allow_file", c_char_p), ("allowed_keys", POINTER(c_char_p)),
        ("allowed_key_count", c_size_t),
    ]


class eff_bridge_latency(Structure):
    _fields_ = [("count", c_uint64), ("sum", c_uint64), ("min", c_uint64), ("max", c_uint64), ("bins", c_uint64 * BINS)]


class eff_bridge_stats(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("session", c_uint32), ("episode", c_uint32),
        *[(n, c_uint64) for n in ("connected", "hellos", "resets", "steps", "rows", "byes", "idles", "bytes_in",
                                      "bytes_out", "drops")],
        ("dropped", c_uint64 * REASONS), ("unsent", c_uint64), ("tick", eff_bridge_latency),
        ("run", eff_bridge_latency), ("age", eff_bridge_latency),
        *[(n, c_uint64) for n in ("retries", "peers", "peers_accepted", "peers_refused", "peers_cut",
                                  "peers_denied", "deafenings")],
    ]


FUNCTIONS = {
    "eff_bridge_options_default": (None, [POINTER(eff_bridge_options), c_size_t]),
    "eff_bridge_create": (status, [handle, POINTER(eff_bridge_options), out]),
    "eff_bridge_create_learner": (status, [handle, POINTER(eff_bridge_options), out]),
    "eff_bridge_create_controller": (status, [handle, POINTER(eff_bridge_options), out]),
    "eff_bridge_endpoint": (c_char_p, [handle]),
    "eff_bridge_poll": (status, [handle, c_int32, POINTER(eff_bridge_event)]),
    "eff_bridge_start": (status, [handle]),
    "eff_bridge_stop": (status, [handle]),
    "eff_bridge_read_stats": (status, [handle, POINTER(eff_bridge_stats)]),
    "eff_bridge_crc32c": (c_uint32, [c_uint32, c_void_p, c_size_t]),
    "eff_bridge_reason_name": (c_char_p, [c_int32]),
    "eff_bridge_make_keys": (status, [c_char_p, c_char_p]),
    "eff_bridge_destroy": (None, [handle]),
}
