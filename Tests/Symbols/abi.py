"""The C interface as text, and what has changed in it since abi.txt, which is that of the release before
(bindings/ABI.md):

    python3 Tests/Symbols/abi.py [INCLUDE]           compares; ends with 1 where programs that are built already would
                                                     break
    python3 Tests/Symbols/abi.py [INCLUDE] --write   writes abi.txt anew, at a release; refused where the series is the
                                                     same and something broke

Values, sizes and offsets are those of a C compiler; they are the same on x86-64 and aarch64.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "Python"))
import headers  # noqa: E402

KEPT = HERE / "abi.txt"


def dump(include):
    """The lines of the interface whose headers are in include/efferent."""
    names = sorted(h.name for h in (include / "efferent").glob("*.h"))
    text = headers.source(include) + headers.source(include, receiver=True)
    types = headers.fields(text)
    constants = sorted(set(re.findall(r"\b(EFF_[A-Z0-9_]+)\s*=", text)))
    program = [f"#include <efferent/{name}>" for name in names] + ["#include <stdio.h>", "int main(void) {"]
    program += [
        'printf("series %d", EFF_VERSION_MAJOR);',
        'if (EFF_VERSION_MAJOR == 0) printf(".%d", EFF_VERSION_MINOR);',
        'puts("");',
    ]
    program += [f'printf("constant {name} %lld\\n", (long long){name});' for name in constants]
    for struct, fields in sorted(types.items()):
        kind = "grows" if fields[0][0] == "struct_size" else "fixed"
        program.append(f'printf("struct {struct} %zu bytes, {kind}\\n", sizeof({struct}));')
        program += [
            f'printf("field {struct}.{name} at %zu, %zu bytes, {kind}\\n", offsetof({struct}, {name}), '
            f"sizeof((({struct} *)0)->{name}));"
            for name, kind in fields
        ]
    program.append("}")
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "abi.c"), Path(folder, "abi")
        source.write_text("\n".join(program))
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        subprocess.run([compiler, "-std=c11", f"-I{include}", source, "-o", made], check=True)
        lines = subprocess.run([made], check=True, capture_output=True, text=True).stdout.splitlines()
    real_time = set(re.findall(r"EFF_API\s+EFF_RT\b[^;]*?\b(eff_\w+)\s*\(", text))
    for name, (result, arguments) in sorted(headers.functions(text).items()):
        lines.append(f"function {name} ({', '.join(arguments)}) -> {result}{' [RT]' if name in real_time else ''}")
    return lines + [f"callback {name} {kind}" for name, kind in sorted(headers.callbacks(text).items())]


def table(lines):
    """{(kind, name): the rest of the line}"""
    split = [line.split(" ", 2) for line in lines]
    return {(words[0], words[1] if len(words) > 2 else ""): words[-1] for words in split}


def numbers(rest):
    return [int(n) for n in re.findall(r"\d+", rest)]


def compare(before, now):
    """What breaks programs that are built already, and what is new, each as a list of texts."""
    before, now = table(before), table(now)
    broken, new = [], []
    taken = {(key[1].split(".")[0], *numbers(rest)[:2]): key[1] for key, rest in now.items() if key[0] == "field"}
    for (kind, name), found in before.items():
        present = now.get((kind, name))
        if kind == "series" or present == found:
            continue
        if (
            kind == "struct"
            and present
            and "grows" in found
            and "grows" in present
            and numbers(present)[0] > numbers(found)[0]
        ):
            new.append(f"struct {name}: {present}, was {found}")
        elif (
            kind == "field"
            and not present
            and ".reserved" in name
            and (name.split(".")[0], *numbers(found)[:2]) in taken
        ):
            new.append(f"field {taken[name.split('.')[0], *numbers(found)[:2]]} has the place of {name}")
        elif kind == "function" and present == f"{found} [RT]":
            new.append(f"function {name} is [RT] now")
        else:
            broken.append(f"{kind} {name}: {present or 'gone'}, was {found}")
    for (kind, name), rest in now.items():
        if (kind, name) in before or kind == "series":
            continue
        struct = name.split(".")[0]
        if kind == "field" and ("struct", struct) in before:
            # padding counts: a caller that was built before has told it as part of struct_size, whatever is in it
            end = numbers(before["struct", struct])[0]
            reserved = any(
                key[0] == "field"
                and ".reserved" in key[1]
                and key[1].split(".")[0] == struct
                and numbers(value)[:2] == numbers(rest)[:2]
                for key, value in before.items()
            )
            if numbers(rest)[0] < end and not reserved:
                broken.append(f"field {name}: {rest}, inside the {end} bytes that callers have now")
                continue
        new.append(f"{kind} {name}: {rest}")
    return broken, new


def main(arguments):
    write = "--write" in arguments
    include = Path(next((a for a in arguments if not a.startswith("--")), HERE.parents[1] / "include"))
    now = dump(include)
    before = KEPT.read_text().splitlines() if KEPT.exists() else now[:1]
    broken, new = compare(before, now)
    same_series = before[0] == now[0]
    for text in new:
        print(f"new: {text}")
    for text in broken:
        print(f"{'BREAKS' if same_series else 'other series'}: {text}")
    if broken and same_series:
        print(
            f"programs built against {before[0]} would break: keep what abi.txt has, or raise the version in "
            "efferent.h (bindings/ABI.md)"
        )
        return 1
    if write:
        KEPT.write_text("\n".join(now) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
