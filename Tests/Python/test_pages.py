"""The pages are true where a machine can tell: links, paths, commands, and the reference made from the headers."""
import importlib
import re
import subprocess
import sys
from pathlib import Path

import headers
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    p
    for pattern in (
        "*.md",
        "bindings/*.md",
        "bindings/*/README.md",
        "bindings/python/client/README.md",
        "examples/*.md",
        "examples/*/README.md",
    )
    for p in ROOT.glob(pattern)
)


def name(path):
    return str(path.relative_to(ROOT))


def anchors(path):
    """The anchors of a page's headings, as forges make them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.M)}


def broken_links(path):
    """Links of a page that lead nowhere. Links to other hosts are not followed."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://|mailto:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    assert not broken_links(page)


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One thing\n[a](page.md#one-thing) [b](#another) [c](gone.md) ![d](gone.png) [e](https://example.org)\n```\n[f](code.md)\n```\n"
    )
    assert broken_links(page) == ["#another", "gone.md", "gone.png"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_that_are_named_exist(page):
    for path in re.findall(r"(?<![\w./-])((?:examples|Tests|Sources|bindings|include)/[\w./+-]*\w)", page.read_text()):
        assert (ROOT / path).exists() or list(ROOT.glob(path + "*")), path


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_options_that_are_named_exist(page):
    import efferent
    import typer

    for module in Path(efferent.__file__).parent.glob("_command_*.py"):
        importlib.import_module(f"efferent.{module.stem}")
    group = typer.main.get_command(importlib.import_module("efferent.lab._command").app)
    commands = {
        n: {"-h", "--help", *(o for p in c.params for o in (*p.opts, *p.secondary_opts))}
        for n, c in group.commands.items()
    }
    assert len(commands) > 9
    for command, rest in re.findall(r"(?:^    |`)efferent ([a-z][a-z-]*)([^`\n#]*)", page.read_text(), re.M):
        assert command in commands, f"efferent {command}"
        for option in re.findall(r"(?<=\s)(--?[a-z][a-z-]*)", rest):
            assert option in commands[command], f"efferent {command} {option}"


def test_the_readme_is_read_in_three_minutes():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 150
    picture = re.search(r"!\[.*\]\((.*)\)", text)
    assert picture and text[: picture.start()].count("\n") < 10 and (ROOT / picture.group(1)).stat().st_size < 200_000


def test_every_page_can_be_reached_from_the_readme():
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        todo += [
            (page.parent / link.partition("#")[0]).resolve()
            for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
            if not link.startswith(("http", "#"))
        ]
    assert not [name(p) for p in PAGES if p not in seen]


def test_the_reference_has_everything_of_the_headers(tmp_path):
    subprocess.run([sys.executable, ROOT / "bindings/c/reference.py", "-o", tmp_path], check=True)
    text = "\n".join(p.read_text() for p in tmp_path.glob("*.md"))
    headings = " ".join(re.findall(r"^### (.*)$", text, re.M))
    source = headers.source()
    for found in (*headers.functions(source), *headers.structs(source)):
        assert f"`{found}`" in headings, found
    for constant in re.findall(r"\b(EFF_[A-Z0-9_]+)\s*=", source):
        assert constant in text, constant
    for function in re.findall(r"EFF_API EFF_RT[^;]*?\b(eff_\w+)\s*\(", source):
        assert re.search(rf"^### .*`{function}`.*\[RT\]$", text, re.M), function
    # what the headers say is on the pages: every comment of more than a few words
    words = " ".join(re.sub(r"[*`|-]", " ", text).split()).lower()
    for header in headers.INCLUDE.glob("efferent/*.h"):
        for comment in re.findall(r"^/\* (.*?)\*/", header.read_text(), re.M | re.S):
            line = " ".join(re.sub(r"[*`|-]", " ", comment.splitlines()[0]).split())
            if len(line) > 40 and "@_noLocks" not in line:
                assert line.lower() in words, line
