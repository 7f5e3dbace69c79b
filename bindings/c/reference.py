"""The reference of the C interface as markdown, out of the headers:   python3 bindings/c/reference.py [-o FOLDER]

Without -o it is printed. A comment becomes the text, what it stands above stays C. Doxygen would want marks in every
comment and 200 MB of packages for the same.
"""

import argparse
import re
from pathlib import Path

INCLUDE = Path(__file__).resolve().parents[2] / "include/efferent"
ORDER = ("efferent.h", "learner.h", "reward.h", "card.h", "controller.h", "bridge.h", "receiver.h")
NOISE = re.compile(
    r"^\s*(#\s*(if|ifdef|ifndef|endif|else|elif|include|define EFF\w*_H\b|define EFF_(API|RT)).*|extern \"C\" \{|\}|)$"
)


def sections(text):
    """(heading, [(comment, code)]) of a header; the first comment is the header's own."""
    found, heading, blocks = [], "", []
    for chunk in re.split(r"\n\s*\n", text):
        if title := re.fullmatch(r"\s*/\* ---- (.*) ---- \*/\s*", chunk):
            found.append((heading, blocks))
            heading, blocks = title.group(1), []
            continue
        if "__swift__" in chunk:  # how the macros of these headers are made
            continue
        # comments on lines of their own; those behind a field stay with it
        parts = re.split(r"(?m)^(/\*.*?\*/)[ \t]*$", chunk, flags=re.S)
        comment = ""
        for part in parts:
            if part.startswith("/*"):
                if comment:
                    blocks.append((comment, ""))
                comment = part
                continue
            code = "\n".join(line for line in part.splitlines() if not NOISE.match(line)).strip("\n")
            # a definition whose closing brace looked like noise
            if re.search(r"^(enum|typedef struct|typedef enum)\b", code, re.M):
                code = part.strip("\n")
            if code:
                blocks.append((comment, code))
                comment = ""
        if comment:
            blocks.append((comment, ""))
    found.append((heading, blocks))
    return [(h, b) for h, b in found if b]


def prose(comment):
    """The text of a comment. What is drawn stays as it is; "Threads   a const handle ..." becomes an item of a list."""
    text = re.sub(r"^/\*\s?|\s*\*/$", "", comment)
    out, drawing = [], []
    for line in [re.sub(r"^ ?\*( |$)", "", line) for line in text.splitlines()]:
        term = re.match(r"(\[?[A-Z][\w ]{1,16}?\]?)  +(?=\S)", line)
        if re.match(r" {2,}\S", line) and ("->" in line or "--" in line):
            drawing.append(line)
            continue
        if drawing:
            out += ["```text", *drawing, "```"]
            drawing = []
        if term:
            out += [] if out and out[-1].startswith(("- ", "  ")) else [""]
            out.append(f"- **{term.group(1)}** {line[term.end():]}")
        elif out and out[-1].startswith(("- ", "  ")) and line.strip():
            out.append("  " + line.strip())
        else:
            out.append(line)
    return "\n".join(out).strip("\n")


def name_of(code):
    """What a piece of code declares, as a heading."""
    functions = re.findall(r"\bEFF_API\b[^;]*?\b(eff_\w+)\s*\(", code)
    functions += re.findall(
        r"(?m)^(?:EFF_RT )?(?:\w+ |const char \*)(eff_receiver_\w+)\(", code
    )  # of a library of its own
    types = re.findall(r"typedef\s+(?:struct|enum)\s+(eff_\w+)", code)
    types += [n for n in re.findall(r"typedef\s+\w+\s+(eff_\w+)\s*;", code) if n not in types]
    constants = re.findall(r"\b(EFF_[A-Z0-9_]+)\s*=", code) if not types else []
    macros = re.findall(r"#define (\w+)", code)
    names = list(dict.fromkeys([*types, *functions] or constants[:1] or macros))
    more = ", ..." if constants[1:] and not (functions or types) else ""
    return ", ".join(f"`{n}`" for n in names) + more


def page(header):
    """One header as markdown."""
    out = [f"# {header}", ""]
    for heading, blocks in sections((INCLUDE / header).read_text()):
        if heading:
            out += [f"## {heading[:1].upper()}{heading[1:]}", ""]
        for comment, code in blocks:
            if name := name_of(code):
                out += [f"### {name}{'  [RT]' if 'EFF_RT' in code else ''}", ""]
            if comment:
                out += [prose(comment), ""]
            if code:
                out += ["```c", re.sub(r"\bEFF_API |\bEFF_RT ", "", code), "```", ""]
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, help="folder for one page per header")
    out = parser.parse_args().out
    headers = [h for h in ORDER if (INCLUDE / h).exists()] + sorted(
        h.name for h in INCLUDE.glob("*.h") if h.name not in ORDER
    )
    for header in headers:
        if out is None:
            print(page(header))
        else:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{header[:-2]}.md").write_text(page(header))


if __name__ == "__main__":
    main()
