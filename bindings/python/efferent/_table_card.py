"""The C interface of policy cards as data, like _table."""
from ctypes import POINTER, c_char_p, c_size_t, c_void_p

from ._table import Options, buffer, handle, index, out, status


class eff_card_options(Options):
    _fields_ = [("struct_size", c_size_t), ("supplied", c_char_p), ("name", c_char_p)]


FUNCTIONS = {
    "eff_card_options_default": (None, [POINTER(eff_card_options), c_size_t]),
    "eff_card_load_file": (status, [c_char_p, POINTER(eff_card_options), out]),
    "eff_card_load_memory": (status, [buffer, c_size_t, POINTER(eff_card_options), out]),
    "eff_card_json": (c_char_p, [handle]),
    "eff_card_question_count": (c_size_t, [handle]),
    "eff_card_question": (c_char_p, [handle, index]),
    "eff_card_answer": (c_char_p, [handle, index]),
    "eff_card_recording": (c_char_p, [handle, index]),
    "eff_card_retain": (c_void_p, [handle]),
    "eff_card_release": (None, [handle]),
}
