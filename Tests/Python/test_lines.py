"""Lines of code have at most 120 characters, in what is built and what users read."""
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = {".swift", ".c", ".h", ".cpp", ".hpp", ".inl", ".py", ".rs"}
#: Tables that a script writes: one line for each operator or declaration.
WRITTEN = {"Sources/Graph/Schemas.swift", "bindings/rust/src/sys.rs"}


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
