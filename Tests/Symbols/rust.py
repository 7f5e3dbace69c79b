"""The declarations of the Rust crate out of the C headers: enough C for these headers.

    python3 Tests/Symbols/rust.py             compares bindings/rust/src/sys.rs with the headers; ends with 1 where they
                                              differ
    python3 Tests/Symbols/rust.py --write     writes it anew

The crate's users need no generator: what this makes is committed.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/Python"))
import headers  # noqa: E402

KEPT = ROOT / "bindings/rust/src/sys.rs"
HEADERS = ("efferent", "reward", "learner", "card", "controller", "bridge")
COUNTS = ("EFF_MAX_RANK", "EFF_BRIDGE_BINS", "EFF_BRIDGE_REASONS")  # lengths of arrays
TEXT = headers.source()
PLAIN = {
    "int32_t": "i32",
    "uint32_t": "u32",
    "int64_t": "i64",
    "uint64_t": "u64",
    "size_t": "usize",
    "ptrdiff_t": "isize",
    "float": "f32",
    "double": "f64",
    "char": "c_char",
    "void": "c_void",
    "eff_status": "eff_status",
}


def rust(declaration):
    """The Rust type of a C parameter, field or result: "*const f32", "*mut *mut eff_policy", "Option<unsafe extern "C"
    fn(...)>", "[i64; 8]"."""
    declaration = " ".join(declaration.split())
    if pointer := re.fullmatch(r"(.*?)\(\s*\*\s*\w*\s*\)\s*\((.*)\)", declaration):
        result, arguments = pointer.groups()
        given = [rust(a) for a in headers.split(arguments) if a.strip() not in ("", "void")]
        if result.strip() == "void":
            return f'Option<unsafe extern "C" fn({", ".join(given)})>'
        return f'Option<unsafe extern "C" fn({", ".join(given)}) -> {rust(result)}>'
    array = re.search(r"\[(\w+)\]$", declaration)
    declaration = re.sub(r"\[\w*\]$", "", declaration)
    base = next(w for w in re.findall(r"\w+", declaration) if w not in ("const", "struct"))
    kind = PLAIN.get(base, base)
    if base == "void" and "*" not in declaration:
        return "()"
    after = declaration[declaration.index(base) + len(base):]
    constant = re.search(r"\bconst\b", declaration[: declaration.index(base)]) is not None
    for star in re.findall(r"\*\s*(const\b)?", after):
        kind = f"*{'const' if constant else 'mut'} {kind}"
        constant = star == "const"
    return f"[{kind}; {array.group(1)}]" if array else kind


def c_functions():
    """{name: ([argument types], result type)} of the headers, in Rust's words."""
    found = {}
    for declaration in re.findall(r"\bEFF_API\b(.*?);", TEXT, flags=re.S):
        declaration = " ".join(declaration.replace("EFF_RT", " ").split())
        result, name, arguments = re.fullmatch(r"(.*?)\b(eff_\w+) ?\((.*)\)", declaration).groups()
        given = [] if arguments.strip() in ("void", "") else [rust(a) for a in headers.split(arguments)]
        found[name] = (given, rust(result))
    return found


def c_structs():
    """{name: [(field, type)]} of the headers, in Rust's words and with C's lists of fields taken apart."""
    found = {}
    for name, body in re.findall(r"typedef struct (eff_\w+)\s*\{(.*?)\}\s*\1\s*;", TEXT, flags=re.S):
        found[name] = []
        for declaration in filter(None, map(str.strip, body.split(";"))):
            if "(" in declaration:
                found[name].append((headers.name_of(declaration), rust(declaration)))
                continue
            base = re.match(r"(?:const\s+)?\w+", declaration).group(0)
            first, *others = declaration.split(",")
            found[name] += [(headers.name_of(d), rust(d)) for d in [first, *(f"{base} {o}" for o in others)]]
    return found


def version():
    """EFF_VERSION of the header."""
    parts = dict(
        re.findall(
            r"#define EFF_VERSION_(MAJOR|MINOR|PATCH) (\d+)", (headers.INCLUDE / "efferent/efferent.h").read_text()
        )
    )
    return int(parts["MAJOR"]) * 10000 + int(parts["MINOR"]) * 100 + int(parts["PATCH"])


def declarations():
    """The whole of sys.rs."""
    assert {h.stem for h in (headers.INCLUDE / "efferent").glob("*.h")} - set(headers.PLANT) == set(
        HEADERS
    ), "a header is missing in HEADERS"
    functions, structs = c_functions(), c_structs()
    lines = [
        "//! The C interface, declaration by declaration. include/efferent/*.h says what each does, which calls are `[RT]`, and who may call them.",
        "//! Written by Tests/Symbols/rust.py from the headers; Tests/Python/test_rust.py compares the two.",
        "#![allow(non_camel_case_types)]",
        "",
        "use std::os::raw::{c_char, c_void};",
        "",
        f"pub const EFF_VERSION: i32 = {version()};",
        "",
        "pub type eff_status = i32;",
    ]
    for header in HEADERS:
        text = re.sub(r"/\*.*?\*/", " ", (headers.INCLUDE / "efferent" / f"{header}.h").read_text(), flags=re.S)
        lines += ["", f"// ---- {header}.h ----", ""]
        for name, value in re.findall(r"\b(EFF_[A-Z0-9_]+)\s*=\s*(-?\w+)", text):
            lines.append(f"pub const {name}: {'usize' if name in COUNTS else 'i32'} = {value};")
        for name in re.findall(r"typedef struct (eff_\w+) \1\s*;", text):
            lines += ["", "#[repr(C)]", f"pub struct {name} {{", "    _opaque: [u8; 0],", "}"]
        for name in re.findall(r"typedef struct (eff_\w+)\s*\{", text):
            lines += [
                "",
                "#[repr(C)]",
                "#[derive(Clone, Copy)]",
                f"pub struct {name} {{",
                *(f"    pub {f}: {kind}," for f, kind in structs[name]),
                "}",
            ]
        lines += ["", 'extern "C" {']
        for arguments, name in (
            (m.group(2), m.group(1))
            for m in re.finditer(r"\bEFF_API\b[^;]*?\b(eff_\w+)\s*\((.*?)\)\s*;", text, flags=re.S)
        ):
            kinds, result = functions[name]
            names = (
                []
                if arguments.strip() in ("void", "")
                else [headers.name_of(" ".join(a.split())) for a in headers.split(arguments)]
            )
            given = ", ".join(f"{n}: {kind}" for n, kind in zip(names, kinds))
            lines.append(f"    pub fn {name}({given}){'' if result == '()' else f' -> {result}'};")
        lines.append("}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--write" in sys.argv:
        KEPT.write_text(declarations())
    elif KEPT.read_text() != declarations():
        print(f"{KEPT} is not what the headers say: python3 Tests/Symbols/rust.py --write")
        sys.exit(1)
