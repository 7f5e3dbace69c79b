"""The C interface as data: structs, and (result, arguments) of every function. Tests/Python/test_table.py compares it
with the headers.

A handle, a buffer or a pointer to a struct is a `c_void_p` or a `POINTER` here; both match any C pointer.
"""
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int32, c_int64, c_size_t, c_uint64, c_void_p, sizeof

MAX_RANK = 8


class Options(Structure):
    """Base of structs that start with struct_size."""

    @classmethod
    def sized(cls):
        made = cls()
        made.struct_size = sizeof(cls)
        return made


class eff_allocator(Structure):
    _fields_ = [
        ("alloc", CFUNCTYPE(c_void_p, c_void_p, c_size_t, c_size_t)),
        ("free", CFUNCTYPE(None, c_void_p, c_void_p, c_size_t)),
        ("user", c_void_p),
    ]


class eff_tensor_spec(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("name", c_char_p), ("role", c_int32), ("dtype", c_int32), ("rank", c_int32),
        ("pair", c_int32),
        ("shape", c_int64 * MAX_RANK), ("count", c_size_t), ("size", c_size_t), ("reason", c_char_p),
    ]


class eff_dim_binding(Structure):
    _fields_ = [("name", c_char_p), ("size", c_int64)]


class eff_state_pair(Structure):
    _fields_ = [("input", c_char_p), ("output", c_char_p)]


class eff_constant_binding(Structure):
    _fields_ = [("input", c_char_p), ("dtype", c_int32), ("rank", c_int32), ("shape", c_int64 * MAX_RANK),
    ("data", c_void_p)]


class eff_policy_options(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("weights", c_int32), ("no_state", c_int32),
        ("dims", POINTER(eff_dim_binding)), ("dim_count", c_size_t),
        ("constants", POINTER(eff_constant_binding)), ("constant_count", c_size_t),
        ("states", POINTER(eff_state_pair)), ("state_count", c_size_t),
        ("allocator", POINTER(eff_allocator)), ("memory_limit", c_size_t), ("folder", c_char_p),
        ("learnable", c_int32), ("locked", c_int32),
        ("layer_weights", POINTER(c_int32)), ("layer_count", c_size_t),
        ("action", c_char_p), ("observation", c_char_p),
        ("outputs", POINTER(c_char_p)), ("output_count", c_size_t),
    ]


class eff_policy_info(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("opset", c_int64), ("ir_version", c_int64), ("parameter_count", c_size_t),
        ("weight_bytes", c_size_t),
        ("arena_bytes", c_size_t), ("node_count", c_size_t), ("op_count", c_size_t), ("state_count", c_size_t),
        ("multiply_adds", c_int64),
        ("isa", c_char_p), ("producer", c_char_p), ("layer_count", c_size_t), ("unfused_op_count", c_size_t),
        ("state_bytes", c_size_t), ("peak_bytes", c_size_t),
        ("hash", c_uint64),
        ("step_refusal", c_char_p),
        ("operators", c_char_p),
    ]


class eff_layer(Options):
    _fields_ = [("struct_size", c_size_t), ("weights", c_int32), ("op", c_int32), ("parameter_count", c_size_t),
    ("bytes", c_size_t)]


class eff_session_swap_options(Options):
    _fields_ = [("struct_size", c_size_t), ("reset_state", c_int32), ("reserved", c_int32)]


class eff_session_options(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("max_rows", c_size_t), ("arena", c_void_p), ("arena_size", c_size_t),
        ("allocator", POINTER(eff_allocator)),
        ("seed", c_uint64), ("locked", c_int32), ("reserved", c_int32), ("first_row", c_uint64),
        ("non_finite", c_int32), ("reserved2", c_int32),
    ]


LOG_FUNCTION = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)

status, handle, buffer, index, out = c_int32, c_void_p, c_void_p, c_size_t, POINTER(c_void_p)

FUNCTIONS = {
    "eff_version": (c_int32, []),
    "eff_status_name": (c_char_p, [status]),
    "eff_last_error": (c_char_p, []),
    "eff_set_log": (None, [LOG_FUNCTION, c_void_p, c_int32]),
    "eff_policy_options_default": (None, [POINTER(eff_policy_options), c_size_t]),
    "eff_policy_load_file": (status, [c_char_p, POINTER(eff_policy_options), out]),
    "eff_policy_load_memory": (status, [buffer, c_size_t, POINTER(eff_policy_options), out]),
    "eff_policy_input_count": (c_size_t, [handle]),
    "eff_policy_output_count": (c_size_t, [handle]),
    "eff_policy_input": (status, [handle, index, POINTER(eff_tensor_spec)]),
    "eff_policy_output": (status, [handle, index, POINTER(eff_tensor_spec)]),
    "eff_policy_find_input": (c_int64, [handle, c_char_p]),
    "eff_policy_find_output": (c_int64, [handle, c_char_p]),
    "eff_policy_metadata": (c_char_p, [handle, c_char_p]),
    "eff_policy_metadata_key": (c_char_p, [handle, index]),
    "eff_policy_describe": (status, [handle, POINTER(eff_policy_info)]),
    "eff_policy_op": (c_char_p, [handle, index]),
    "eff_policy_note": (c_char_p, [handle, index]),
    "eff_policy_layer": (status, [handle, index, POINTER(eff_layer)]),
    "eff_policy_retain": (c_void_p, [handle]),
    "eff_policy_release": (None, [handle]),
    "eff_session_options_default": (None, [POINTER(eff_session_options), c_size_t]),
    "eff_session_arena_size": (status, [handle, POINTER(eff_session_options), POINTER(c_size_t)]),
    "eff_session_create": (status, [handle, POINTER(eff_session_options), out]),
    "eff_session_step": (status, [handle, c_size_t, c_void_p, c_void_p]),
    "eff_session_step_n": (status, [handle, c_size_t, c_void_p, c_size_t, c_void_p, c_size_t]),
    "eff_session_explain": (c_char_p, [handle]),
    "eff_session_input": (c_void_p, [handle, index]),
    "eff_session_run": (status, [handle, c_size_t]),
    "eff_session_output": (c_void_p, [handle, index]),
    "eff_session_reset": (status, [handle, c_int64]),
    "eff_session_prewarm": (status, [handle]),
    "eff_session_prewarm_weights": (status, [handle]),
    "eff_session_swap": (status, [handle, handle]),
    "eff_session_swap_options_default": (None, [POINTER(eff_session_swap_options), c_size_t]),
    "eff_session_swap_with": (status, [handle, handle, POINTER(eff_session_swap_options)]),
    "eff_session_reclaim": (status, [handle]),
    "eff_session_destroy": (None, [handle]),
}
