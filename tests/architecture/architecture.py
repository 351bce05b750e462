#!/usr/bin/env python3
"""Holds every #include of the tree against one table, rooms.toml: which room may use which rooms and which libraries.

A room is a folder with C++ files. The compiler does not hold these walls: every target sees the whole repository, and the
libraries of the system lie in /usr/include. What is checked:

* a file includes only rooms and libraries that the table allows its room, by itself or through the headers that it includes;
* the table allows nothing that no file uses, so that it stays true;
* neither rooms nor files include each other in a circle; a room stands in the table below those that it uses;
* every folder with C++ files is in the table and every row of the table has its folder;
* no folder holds more source files than the table's limit;
* a program's rooms, and the program itself where it is built, use none of the libraries that the table forbids it;
* the table in docs/overview.md is the one that rooms.toml makes.

Tests and benchmarks may include every room; for libraries a folder of tests has the permissions of the room that it tests.

    architecture.py [--bin FOLDER] [TREE]   prints what is wrong, one line each, and exits 1; --bin: where the programs lie
    architecture.py --write [TREE]          writes the table of docs/overview.md anew
"""
import argparse
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path, PurePosixPath

TABLE = "tests/architecture/rooms.toml"
OVERVIEW = "docs/overview.md"
BEGIN = "<!-- rooms: made from tests/architecture/rooms.toml by tests/architecture/architecture.py --write -->\n"
END = "<!-- rooms: end -->\n"
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]')
CODE = {".cc", ".h"}
SOURCE = {".cc", ".h", ".py", ".proto"}
STANDARD = re.compile(r"[a-z_0-9]+")  # <vector>, <cstdint>


class Table:
    """rooms.toml. Rooms are in order: a room uses only rooms above it."""

    def __init__(self, path):
        with open(path, "rb") as file:
            table = tomllib.load(file)
        self.limit = table["files_in_a_folder"]
        self.free = table["tests_and_benchmarks"]  # folders that may include every room
        self.libraries = table["library"]
        self.programs = table["program"]
        self.rooms = {room["name"]: room for room in table["room"]}
        self.problems = self._problems(table)

    def _problems(self, table):
        above = set()
        for room in table["room"]:
            for used in room["uses"]:
                if used not in above:
                    yield f'{TABLE}: room "{room["name"]}" uses "{used}", which does not stand above it'
            for library in room["libraries"]:
                if library not in self.libraries:
                    yield f'{TABLE}: room "{room["name"]}" uses the library "{library}", which has no [library.{library}]'
            if room["name"] in above:
                yield f'{TABLE}: room "{room["name"]}" stands there twice'
            above.add(room["name"])

    def library_of(self, header):
        """The library that a header belongs to; "" for the C++ standard library; None where the table knows none."""
        for name, library in self.libraries.items():
            if any(header == entry or (entry.endswith("/") and header.startswith(entry)) for entry in library["headers"]):
                return name
        return "" if STANDARD.fullmatch(header) else None

    def is_free(self, folder):
        return PurePosixPath(folder).parts[0] in self.free

    def may_use(self, folder):
        """(rooms, libraries) that the files of a folder may include, or None where the table has no such room."""
        if not self.is_free(folder):
            room = self.rooms.get(folder)
            return room and (set(room["uses"]) | {folder}, set(room["libraries"]))
        libraries = set(self.free[PurePosixPath(folder).parts[0]])
        tested = "/".join(PurePosixPath(folder).parts[1:])
        for name, room in self.rooms.items():
            if tested == name or name.startswith(tested + "/") or tested.startswith(name + "/"):
                libraries |= set(room["libraries"])
        return None, libraries


class Tree:
    """The C++ files of a checkout and what each includes."""

    def __init__(self, top):
        self.top = Path(top)
        self.counts = defaultdict(int)
        self.includes = {}  # path -> [(line, header, whether in quotes)]
        for path in sorted(self._files(self.top)):
            relative = path.relative_to(self.top)
            self.counts[relative.parent.as_posix()] += 1
            if path.suffix in CODE:
                self.includes[relative.as_posix()] = list(self._read(path))

    def _files(self, folder):
        for path in folder.iterdir():
            if path.name.startswith((".", "build")) or path.name == "__pycache__" or path.is_symlink():
                continue
            if path.is_dir():
                yield from self._files(path)
            elif path.suffix in SOURCE:
                yield path

    @staticmethod
    def _read(path):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if found := INCLUDE.match(line):
                yield number, found[2], found[1] == '"'


def folder_of(path):
    return PurePosixPath(path).parent.as_posix()


def circle(graph):
    """A path of nodes that leads back to its start, or None."""
    state = {}

    def visit(node, path):
        state[node] = "open"
        for following in sorted(graph.get(node, ())):
            if state.get(following) == "open":
                return path[path.index(following):] + [following]
            if following not in state and (found := visit(following, path + [following])):
                return found
        state[node] = "done"
        return None

    for node in sorted(graph):
        if node not in state and (found := visit(node, [node])):
            return found
    return None


class Checker:
    def __init__(self, tree, table):
        self.tree = tree
        self.table = table
        self.files = {path: {header for _, header, quoted in includes if quoted and header in tree.includes}
                      for path, includes in tree.includes.items()}
        self.used = defaultdict(set)  # room -> rooms and libraries that its files include
        self._chains = {}

    def problems(self):
        yield from self.table.problems
        yield from self._folders()
        for path in self.tree.includes:
            yield from self._file(path)
        yield from self._circles()
        yield from self._unused()
        yield from self._programs()

    def _folders(self):
        table = self.table
        for folder, count in self.tree.counts.items():
            if count > table.limit:
                yield f"{folder}: {count} source files; {table.limit} are the most that a folder may hold"
        code = {folder_of(path) for path in self.tree.includes}
        for folder in sorted(code):
            if not table.is_free(folder) and folder not in table.rooms:
                yield f"{folder}: no room of this name in {TABLE}; give it a row that says what it may use"
        for name in table.rooms:
            if name not in code:
                yield f'{TABLE}: room "{name}" has no folder with C++ files'

    def _file(self, path):
        folder = folder_of(path)
        permission = self.table.may_use(folder)
        if permission is None:
            return
        rooms, libraries = permission
        for line, header, quoted in self.tree.includes[path]:
            shown = f'{path}:{line}: #include {chr(34) + header + chr(34) if quoted else "<" + header + ">"}'
            if quoted and header in self.tree.includes:
                yield from self._header(shown, folder, header, permission)
                continue
            library = self.table.library_of(header)
            if library is None or (quoted and not library):
                what = "no such file; name it from the top of the tree" if quoted else f"a header of no library that {TABLE} knows"
                yield f"{shown}: {what}"
            elif library:
                self.used[folder].add(library)
                if library not in libraries:
                    yield f"{shown}: {library}; {self._allowed(folder, rooms, libraries)}"

    def _header(self, shown, folder, header, permission):
        rooms, libraries = permission
        room = folder_of(header)
        self.used[folder].add(room)
        if rooms is not None and room not in rooms:
            yield f"{shown}: room {room}; {self._allowed(folder, rooms, libraries)}"
            return
        for library, chain in sorted(self._reached(header).items()):
            self.used[folder].add(library)
            if library not in libraries:
                yield f"{shown}: brings {library} in by {' > '.join(chain)}; {self._allowed(folder, rooms, libraries)}"

    def _reached(self, header):
        """The libraries that a header brings in with its room's permission: library -> headers on the way. What has no permission
        is told where it is included, once. Libraries that pass are left out."""
        if header not in self._chains:
            self._chains[header] = {}  # a circle ends here; it is told elsewhere
            rooms, libraries = self.table.may_use(folder_of(header)) or (set(), set())
            reached = {}
            for _, name, _ in self.tree.includes[header]:
                library = self.table.library_of(name)
                if name in self.tree.includes:
                    if rooms is None or folder_of(name) in rooms:  # otherwise it is told at this header
                        for further, chain in self._reached(name).items():
                            reached.setdefault(further, [header] + chain)
                elif library and not self.table.libraries[library].get("passes", False):
                    reached.setdefault(library, [header, f"<{name}>"])
            self._chains[header] = {library: chain for library, chain in reached.items() if library in libraries}
        return self._chains[header]

    def _allowed(self, folder, rooms, libraries):
        parts = [] if rooms is None else [f"rooms: {' '.join(sorted(rooms - {folder})) or 'none'}"]
        parts.append(f"libraries: {', '.join(sorted(libraries)) or 'none'}")
        return f"{TABLE} allows {folder} {'; '.join(parts)}"

    def _circles(self):
        if found := circle(self.files):
            yield f"files include each other in a circle: {' > '.join(found)}"
        rooms = defaultdict(set)
        for path, headers in self.files.items():
            if not self.table.is_free(folder_of(path)):
                rooms[folder_of(path)] |= {folder_of(header) for header in headers} - {folder_of(path)}
        if found := circle(rooms):
            yield f"rooms include each other in a circle: {' > '.join(found)}"

    def _unused(self):
        for name, room in self.table.rooms.items():
            for permission in room["uses"] + room["libraries"]:
                if permission not in self.used[name]:
                    yield f'{TABLE}: room "{name}" may use {permission}, which none of its files includes; take it out'

    def _programs(self):
        for program in self.table.programs:
            rooms = self._below(program["room"])
            for library in program["without"]:
                for room in sorted(rooms):
                    if library in self.table.rooms[room]["libraries"]:
                        yield f'{TABLE}: {program["name"]} is to have no {library}, but its rooms lead to {room}, which uses it'

    def _below(self, room):
        seen, todo = set(), [room]
        while todo:
            name = todo.pop()
            if name in self.table.rooms and name not in seen:
                seen.add(name)
                todo += self.table.rooms[name]["uses"]
        return seen


def linked(program):
    """The shared libraries that a program loads, or the error that readelf gave."""
    done = subprocess.run(["readelf", "-d", program], text=True, capture_output=True)
    if done.returncode != 0:
        raise OSError(f"readelf: {done.stderr.strip()}")
    return re.findall(r"\(NEEDED\).*\[(.*)\]", done.stdout)


def check_programs(table, binaries):
    for program in table.programs:
        path = Path(binaries) / program["name"]
        if not path.exists():
            continue
        for name in linked(path):
            for library in program["without"]:
                if name.startswith(tuple(table.libraries[library]["shared"])):
                    yield f'{path}: loads {name}; {TABLE} has {program["name"]} without {library}'


def overview_table(table):
    lines = ["| room | what it is | may use | libraries, private to it |", "|---|---|---|---|"]
    for name, room in table.rooms.items():
        used = " ".join(room["uses"]) or "-"
        lines.append(f'| `{name}` | {room["what"]} | {used} | {", ".join(room["libraries"]) or "-"} |')
    return "\n".join(lines) + "\n"


def with_table(text, table):
    """The text of docs/overview.md with the table between its markers."""
    if BEGIN not in text or END not in text:
        raise ValueError(f"{OVERVIEW}: the markers of the table of rooms are missing; put these two lines where it belongs:\n{BEGIN}{END}")
    before, rest = text.split(BEGIN, 1)
    return before + BEGIN + overview_table(table) + END + rest.split(END, 1)[1]


def check_overview(top, table):
    text = (top / OVERVIEW).read_text()
    try:
        if with_table(text, table) != text:
            yield f"{OVERVIEW}: the table of rooms is not that of {TABLE}; run tests/architecture/architecture.py --write"
    except ValueError as error:
        yield str(error)


def main():
    parser = argparse.ArgumentParser(description="holds every #include against tests/architecture/rooms.toml")
    parser.add_argument("tree", nargs="?", default=Path(__file__).resolve().parents[2], type=Path)
    parser.add_argument("--write", action="store_true", help="write the table of docs/overview.md anew")
    parser.add_argument("--bin", type=Path, help="the folder of the built programs")
    options = parser.parse_args()
    table = Table(options.tree / TABLE)
    if options.write:
        overview = options.tree / OVERVIEW
        overview.write_text(with_table(overview.read_text(), table))
        return 0
    problems = list(Checker(Tree(options.tree), table).problems())
    problems += check_overview(options.tree, table)
    if options.bin:
        problems += check_programs(table, options.bin)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
