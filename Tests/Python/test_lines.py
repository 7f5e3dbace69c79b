"""Lines of code and of pages have at most 120 characters, in what is built and what users read."""
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = {".swift", ".c", ".h", ".cpp", ".hpp", ".inl", ".py", ".rs"}
#: Tables that a script writes: one line for each operator or declaration.
WRITTEN = {"Sources/Graph/Schemas.swift", "bindings/rust/src/sys.rs"}


def prose(path):
    """(number, line) of a page, without tables and indented lines: commands, messages and layouts keep their lines."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.lstrip().startswith("|") and not line.startswith("    "):
            yield number, line


def test_pages_have_lines_of_at_most_120_characters():
    found = [f"{path.relative_to(ROOT)}:{number} has {len(line)}"
             for folder in (".", "Sources", "bindings", "examples", "Tests/Models")
             for path in sorted((ROOT / folder).glob("*.md" if folder == "." else "**/*.md"))
             if not {"target", "build"} & set(path.parts)
             for number, line in prose(path) if len(line) > 120]
    assert not found, "\n".join(found)


def test_lines_have_at_most_120_characters():
    found, files = [], 0
    for folder in ("Sources", "include", "bindings", "examples"):
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix not in SUFFIXES or name in WRITTEN or {"target", "build"} & set(path.parts):
                continue
            files += 1
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if len(line) > 120:
                    found.append(f"{name}:{number} has {len(line)}")
    assert files > 300, "the sources were not found"
    assert not found, "lines of more than 120 characters: wrap them where they read best\n" + "\n".join(found)
