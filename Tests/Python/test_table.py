"""The ctypes table of the Python package says what the C headers say."""
import ctypes
import os
import re
import shutil
import subprocess

import headers
import pytest
from efferent import _library, _table, _table_bridge, _table_card, _table_controller, _table_learner, errors, policy

TEXT = headers.source()
FUNCTIONS, STRUCTS, CALLBACKS = headers.functions(TEXT), headers.structs(TEXT), headers.callbacks(TEXT)
TABLE = _library.FUNCTIONS
NAMES = vars(_table) | vars(_table_bridge) | vars(_table_learner) | vars(_table_card) | vars(_table_controller)
PLAIN = {
    "int8_t": ctypes.c_int8,
    "uint8_t": ctypes.c_uint8,
    "int16_t": ctypes.c_int16,
    "uint16_t": ctypes.c_uint16,
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "ptrdiff_t": ctypes.c_ssize_t,
    "eff_status": ctypes.c_int32,
    "void": None,
}


def matches(c, py):
    """Whether the ctypes type `py` can stand for the C type `c`."""
    c = CALLBACKS.get(c, c)
    if c in PLAIN:
        return py is PLAIN[c]
    if c.startswith("f("):
        if not hasattr(py, "_argtypes_"):
            return py is ctypes.c_void_p
        arguments, result = c[2:].rsplit(")->", 1)
        wanted = [a.strip() for a in headers.split(arguments)] if arguments else []
        return (
            len(wanted) == len(py._argtypes_)
            and matches(result, py._restype_)
            and all(map(matches, wanted, py._argtypes_))
        )
    if not c.endswith("*"):
        return False
    target = c[:-1]
    if py is ctypes.c_void_p:
        return True
    if target == "char":
        return py in (ctypes.c_char_p, ctypes.POINTER(ctypes.c_char))
    pointee = getattr(py, "_type_", None)
    if pointee is None or isinstance(pointee, str):
        return False
    return pointee is NAMES.get(target) if target in STRUCTS else matches(target, pointee)


def test_the_headers_are_read():
    assert len(FUNCTIONS) >= 31 and FUNCTIONS["eff_session_step"] == (
        "eff_status",
        ["eff_session*", "size_t", "float*", "float*"],
    )
    assert FUNCTIONS["eff_set_log"] == ("void", ["f(void*, int32_t, char*)->void", "void*", "int32_t"])
    assert STRUCTS["eff_state_pair"] == ["input", "output"] and "arena" in STRUCTS["eff_session_options"]
    assert TEXT.count("EFF_API ") == len(FUNCTIONS)


def test_every_function_of_the_headers_is_in_the_table():
    assert sorted(TABLE) == sorted(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_argument_types_are_those_of_the_header(name):
    if name not in TABLE:
        pytest.fail(f"{name} is not in the table")
    result, arguments = FUNCTIONS[name]
    py_result, py_arguments = TABLE[name]
    assert len(py_arguments) == len(arguments), f"{len(py_arguments)} arguments, expected {len(arguments)}"
    assert matches(result, py_result), f"result is {py_result}, expected {result}"
    for i, (c, py) in enumerate(zip(arguments, py_arguments)):
        assert matches(c, py), f"argument {i} is {py}, expected {c}"


def test_a_wrong_type_is_told_apart():
    assert (
        not matches("size_t", ctypes.c_int32)
        and not matches("float*", ctypes.c_float)
        and not matches("eff_policy_options*", ctypes.POINTER(_table.eff_session_options))
    )
    assert not matches("size_t*", ctypes.POINTER(ctypes.c_int32)) and not matches("eff_policy**", ctypes.c_char_p)


def test_struct_layouts_are_those_of_a_c_compiler(tmp_path):
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    lines = []
    for name, fields in STRUCTS.items():
        lines.append(f'printf("{name} . %zu 0\\n", sizeof({name}));')
        lines += [
            f'printf("{name} {f} %zu %zu\\n", sizeof((({name} *)0)->{f}), offsetof({name}, {f}));' for f in fields
        ]
    program = tmp_path / "layout.c"
    program.write_text(
        "#include <efferent/efferent.h>\n#include <efferent/bridge.h>\n#include <efferent/card.h>\n#include <efferent/controller.h>\n#include <stdio.h>\nint main(void) {\n"
        + "\n".join(lines)
        + "\n}\n"
    )
    subprocess.run(
        [compiler, "-std=c11", f"-I{headers.INCLUDE}", str(program), "-o", str(tmp_path / "layout")], check=True
    )
    wanted = subprocess.run([str(tmp_path / "layout")], check=True, capture_output=True, text=True).stdout.split("\n")
    found = []
    for name, fields in STRUCTS.items():
        struct = NAMES.get(name)
        assert struct is not None, f"struct {name} is not in the table"
        assert [f for f, *_ in struct._fields_] == fields, name
        found.append(f"{name} . {ctypes.sizeof(struct)} 0")
        found += [f"{name} {f} {getattr(struct, f).size} {getattr(struct, f).offset}" for f in fields]
    assert found == [line for line in wanted if line]


def test_every_constant_of_the_package_is_that_of_the_header():
    values = {name: int(value, 0) for name, value in re.findall(r"\b(EFF_\w+) = (-?\w+)", TEXT)}
    assert {c.name: c.code for c in errors.CLASSES.values()} == {
        k: v for k, v in values.items() if k.startswith("EFF_E_")
    }
    assert [values[f"EFF_ROLE_{r.upper()}"] for r in policy.ROLES] == list(range(len(policy.ROLES)))
    for name, (code, _) in policy.TYPES.items():
        assert values[f"EFF_{name.upper()}"] == code
    assert values["EFF_MAX_RANK"] == _table.MAX_RANK
