#!/usr/bin/env python3
"""The documents hold together. Each fault is one line, "FILE:LINE: what is wrong"; exit 1 when there is one.

* every link between documents leads to a file, and to a heading in it;
* every path of the tree that a document names is there;
* every type that docs/glossary.md names is declared in a header;
* docs/index.md names every page of docs/;
* every entry of docs/decisions.md has a number of its own, a status and one line, and what supersedes it is an entry;
* docs/commands.md has exactly the commands that the programs' --help lists (with --bin).

    documents.py [--bin FOLDER] [TREE]
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED_PATH = re.compile(r"(?<![\w/.{*~-])((?:[a-z_]+/)+[a-z0-9_.-]+\.(?:h|cc|py|toml|md|html|sh|proto))(?![\w/*-])")
ENTRY = re.compile(r"^\*\*D(\d+)\. [^*]+\*\* \*(Stands|Superseded by D\d+|In part superseded by D\d+)( \([^)]*\))?\.\* \S")
NO_COMMANDS = {"", "Options", "Positionals", "Example"}  # sections of --help
TYPE = re.compile(r"`([A-Z][a-z]+(?:[A-Z][a-z]*)*)`")
COMMAND = re.compile(r"^\| `(sotto-\w+(?: [a-z-]+)+)` \| \S")


def documents(tree):
    return sorted([*tree.glob("*.md"), *tree.glob("docs/*.md"), *tree.glob("bench/*.md")])


def lines_outside_code(text):
    """(number, line) of what is neither an indented block nor between fences."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield number, line


def anchors(text):
    """The ids that a Markdown page gives its headings."""
    found = set()
    for _, line in lines_outside_code(text):
        if line.startswith("#"):
            title = line.lstrip("#").strip().lower()
            found.add(re.sub(r"[^\w\- ]", "", title).replace(" ", "-"))
    return found


def faults_of_links(tree):
    for page in documents(tree):
        for number, line in lines_outside_code(page.read_text()):
            for target in LINK.findall(line):
                if "://" in target:
                    continue
                name, _, anchor = target.partition("#")
                file = page.parent / name if name else page
                where = f"{page.relative_to(tree)}:{number}"
                if not file.exists():
                    yield f"{where}: the link leads to {target}, which is not there"
                elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
                    yield f"{where}: {name or page.name} has no heading #{anchor}"


def faults_of_paths(tree):
    rooms = {p.name for p in tree.iterdir() if p.is_dir() and not p.name.startswith((".", "build"))}
    for page in documents(tree):
        for number, line in lines_outside_code(page.read_text()):
            for path in NAMED_PATH.findall(LINK.sub("", line)):
                if path.split("/")[0] in rooms and not (tree / path).exists():
                    yield f"{page.relative_to(tree)}:{number}: names {path}, which is not there"


def faults_of_glossary(tree):
    headers = "\n".join(p.read_text() for p in tree.glob("[a-z]*/**/*.h") if not p.relative_to(tree).parts[0].startswith("build"))
    declared = set(re.findall(r"\b(?:class|struct|using) (\w+)|\benum class (\w+)", headers))
    declared = {name for pair in declared for name in pair}
    for number, line in enumerate((tree / "docs/glossary.md").read_text().splitlines(), 1):
        if line.startswith("|"):
            yield from (f"docs/glossary.md:{number}: no header declares {name}" for name in TYPE.findall(line) if name not in declared)


def faults_of_index(tree):
    index = (tree / "docs/index.md").read_text()
    for page in sorted([*tree.glob("docs/*.md"), *tree.glob("docs/*.html")]):
        if page.name != "index.md" and f"({page.name}" not in index:
            yield f"docs/index.md:1: does not name {page.name}"


def faults_of_decisions(tree):
    seen, meant = set(), []
    for number, line in enumerate((tree / "docs/decisions.md").read_text().splitlines(), 1):
        where = f"docs/decisions.md:{number}"
        if number <= 3 or not line or line.startswith(("#", "|")):  # a table belongs to the entry above it
            continue
        entry = ENTRY.match(line)
        if not entry:
            yield f'{where}: is no entry "**D1. What.** *Stands.* Why", all on one line'
            continue
        if entry[1] in seen:
            yield f"{where}: D{entry[1]} is there twice"
        seen.add(entry[1])
        meant += [(where, other) for other in re.findall(r"D(\d+)", entry[2])]
    yield from (f"{where}: is superseded by D{other}, which is not there" for where, other in meant if other not in seen)


def commands_of(program, *words):
    """The commands below `words`, as the program's help lists them: the rows of every section but those of `NO_COMMANDS`."""
    text = subprocess.run([program, *words, "--help"], capture_output=True, text=True, check=True).stdout
    names, section = [], ""
    for line in text.splitlines():
        if heading := re.match(r"([A-Z][^:]*):$", line):
            section = heading[1]
        elif (row := re.match(r"  ([a-z][a-z-]*)(?: |$)", line)) and section not in NO_COMMANDS:
            names.append(row[1])
    if not names:
        return {" ".join([program.name, *words])}
    return set().union(*(commands_of(program, *words, name) for name in names))


def faults_of_commands(tree, folder):
    listed = {}
    for number, line in enumerate((tree / "docs/commands.md").read_text().splitlines(), 1):
        if row := COMMAND.match(line):
            listed[row[1]] = number
    there = set().union(*(commands_of(folder / f"sotto-{name}") for name in ("client", "coordinator", "audit")))
    yield from (f"docs/commands.md:1: has no row for {name}" for name in sorted(there - set(listed)))
    yield from (f"docs/commands.md:{listed[name]}: no program has {name}" for name in sorted(set(listed) - there))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent.parent)
    parser.add_argument("--bin", type=Path, help="the folder of the programs")
    asked = parser.parse_args()
    found = [f for check in (faults_of_links, faults_of_paths, faults_of_glossary, faults_of_index, faults_of_decisions) for f in check(asked.tree)]
    if asked.bin:
        found += faults_of_commands(asked.tree, asked.bin)
    print("\n".join(found) if found else "the documents hold together")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
