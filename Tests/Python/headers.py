"""Reads the declarations of include/efferent/*.h: enough C for these headers, and a failure for what it does not
know."""

import re
from pathlib import Path

INCLUDE = Path(__file__).resolve().parents[2] / "include"
#: Headers of the plant's side, whose functions are of a library of its own.
PLANT = ("receiver", "ladder")


def source(include=INCLUDE, receiver=False):
    """The headers as one text without comments and preprocessor lines: those of libefferent, or those of the plant's
    side, whose functions get the mark EFF_API here."""
    names = [h for h in sorted((include / "efferent").glob("*.h")) if (h.stem in PLANT) == receiver]
    text = "\n".join(h.read_text() for h in names)
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r"//[^\n]*", " ", text)
    text = re.sub(r"\\\n", " ", text)
    if receiver:
        text = re.sub(rf"^(?=[^\n(]*\beff_(?:{'|'.join(PLANT)})_\w+\s*\()", "EFF_API ", text, flags=re.M)
    return re.sub(r"^\s*#.*$", "", text, flags=re.M)


def functions(text):
    """{name: (result type, [argument types])} of every EFF_API function, types as normalized C text."""
    found = {}
    for declaration in re.findall(r"\bEFF_API\b(.*?);", text, flags=re.S):
        declaration = " ".join(declaration.replace("EFF_RT", " ").split())
        result, name, arguments = re.fullmatch(r"(.*?)\b(eff_\w+) ?\((.*)\)", declaration).groups()
        found[name] = (
            type_of(result),
            [] if arguments.strip() in ("void", "") else [type_of(a) for a in split(arguments)],
        )
    return found


def split(arguments):
    """Splits at the commas that are not inside brackets."""
    parts, depth = [""], 0
    for c in arguments:
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def type_of(declaration):
    """The type in a parameter declaration or result: "f(int32_t, void*)->void" for a function pointer, "float*",
    "eff_policy**", "size_t"."""
    declaration = declaration.strip()
    if match := re.fullmatch(r"(.*?)\(\s*\*\s*\w*\s*\)\s*\((.*)\)", declaration):
        result, arguments = match.groups()
        return (
            f"f({', '.join(type_of(a) for a in split(arguments) if a.strip() not in ('', 'void'))})->{type_of(result)}"
        )
    array = re.search(r"\[.*\]$", declaration) is not None
    declaration = re.sub(r"\[.*?\]", "", declaration)
    stars = "*" * (declaration.count("*") + array)
    words = [w for w in re.findall(r"\w+", declaration) if w not in ("const", "struct", "restrict")]
    if not words:
        raise ValueError(f"no type in '{declaration}'")
    return words[0] + stars


def structs(text):
    """{name: [field names]} of every struct that is defined."""
    found = {}
    for name, body in re.findall(r"typedef struct (eff_\w+)\s*\{(.*?)\}\s*\1\s*;", text, flags=re.S):
        fields = []
        for declaration in body.split(";"):
            if not (declaration := declaration.strip()):
                continue
            if pointer := re.search(r"\(\s*\*\s*(\w+)\s*\)", declaration):
                fields.append(pointer.group(1))
                continue
            fields += [re.search(r"(\w+)\s*(\[.*\])?\s*$", part).group(1) for part in declaration.split(",")]
        found[name] = fields
    return found


def parameters(text):
    """{function: [(name, type)]} of every EFF_API function."""
    found = {}
    for declaration in re.findall(r"\bEFF_API\b(.*?);", text, flags=re.S):
        declaration = " ".join(declaration.replace("EFF_RT", " ").split())
        _, name, arguments = re.fullmatch(r"(.*?)\b(eff_\w+) ?\((.*)\)", declaration).groups()
        found[name] = [] if arguments.strip() in ("void", "") else [(name_of(a), type_of(a)) for a in split(arguments)]
    return found


def name_of(declaration):
    """The name in a declaration of one parameter or field."""
    if pointer := re.search(r"\(\s*\*\s*(\w+)\s*\)", declaration):
        return pointer.group(1)
    return re.search(r"(\w+)\s*(\[.*\])?\s*$", declaration).group(1)


def fields(text):
    """{struct: [(name, type)]} of every struct that is defined; of an array the type is that of a pointer."""
    found = {}
    for struct, body in re.findall(r"typedef struct (eff_\w+)\s*\{(.*?)\}\s*\1\s*;", text, flags=re.S):
        found[struct] = []
        for declaration in filter(None, map(str.strip, body.split(";"))):
            if re.search(r"\(\s*\*\s*\w+\s*\)", declaration):
                found[struct].append((name_of(declaration), type_of(declaration)))
                continue
            first, *others = declaration.split(",")
            base = re.match(r"((?:const\s+)?\w+)", first).group(1)
            found[struct].append((name_of(first), type_of(first)))
            found[struct] += [(name_of(other), type_of(f"{base} {other}")) for other in others]
    return found


def callbacks(text):
    """{name: type} of every function pointer typedef."""
    return {
        name: type_of(f"{result} (*)({arguments})")
        for result, name, arguments in re.findall(
            r"typedef\s+([^;{}]*?)\(\s*\*\s*(eff_\w+)\s*\)\s*\(([^;]*)\)\s*;", text
        )
    }
