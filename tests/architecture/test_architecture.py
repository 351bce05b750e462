"""The wall itself, tested: small trees with one fault each, and what architecture.py says of them."""
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import architecture

TABLE = """
files_in_a_folder = 3
[tests_and_benchmarks]
tests = ["Catch2"]
[[program]]
name = "quiet"
room = "top"
without = ["Tensor"]
[library.Tensor]
headers = ["tensor/"]
shared = ["libtensor", "libc.so"]
[library.Catch2]
headers = ["catch2/"]
shared = []
[library.Host]
headers = ["unistd.h"]
shared = []
passes = true
[[room]]
name = "base"
what = "the ground"
uses = []
libraries = ["Host"]
[[room]]
name = "numbers"
what = "tensors"
uses = ["base"]
libraries = ["Tensor"]
[[room]]
name = "top"
what = "the program"
uses = ["base"]
libraries = []
"""

FILES = {
    "base/ground.h": "#pragma once\n#include <vector>\n#include <unistd.h>\n",
    "numbers/tensors.h": '#pragma once\n#include "base/ground.h"\n#include <tensor/all.h>\n',
    "top/main.cc": '#include <cstdint>\n#include "base/ground.h"\n',
    "tests/top/main_test.cc": '#include <catch2/catch.hpp>\n#include "top/main.h"\n',
    "top/main.h": "#pragma once\n",
    "docs/overview.md": "# Rooms\n" + architecture.BEGIN + architecture.END + "Further.\n",
}


class Test(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.top = Path(self.folder.name)
        for name, text in FILES.items():
            self.write(name, text)
        self.write(architecture.TABLE, TABLE)

    def write(self, name, text):
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def change_table(self, old, new):
        self.assertIn(old, TABLE)
        self.write(architecture.TABLE, TABLE.replace(old, new))

    def problems(self):
        table = architecture.Table(self.top / architecture.TABLE)
        return list(architecture.Checker(architecture.Tree(self.top), table).problems())

    def assert_one(self, *words):
        problems = self.problems()
        self.assertEqual(len(problems), 1, problems)
        for word in words:
            self.assertIn(word, problems[0])

    def test_a_tree_within_its_walls_has_no_problem(self):
        self.assertEqual(self.problems(), [])

    def test_an_include_of_a_forbidden_room_is_named_with_file_line_and_permission(self):
        self.write("top/main.cc", '#include "base/ground.h"\n\n#include "numbers/small.h"\n')
        self.write("numbers/small.h", "#pragma once\n")
        self.assert_one('top/main.cc:3: #include "numbers/small.h": room numbers', "allows top rooms: base; libraries: none")

    def test_an_include_of_a_forbidden_library_is_named(self):
        self.write("top/main.cc", '#include "base/ground.h"\n#include <tensor/all.h>\n')
        self.assert_one("top/main.cc:2: #include <tensor/all.h>: Tensor", "libraries: none")

    def test_a_library_that_comes_in_through_an_allowed_room_is_named_with_its_way(self):
        self.change_table('what = "the program"\nuses = ["base"]', 'what = "the program"\nuses = ["base", "numbers"]')
        self.write("top/main.cc", '#include "base/ground.h"\n#include "numbers/tensors.h"\n')
        problems = self.problems()
        self.assertEqual(len(problems), 2, problems)  # the include, and the program that is to have no Tensor
        self.assertIn("brings Tensor in by numbers/tensors.h > <tensor/all.h>", problems[0])
        self.assertIn("quiet is to have no Tensor, but its rooms lead to numbers", problems[1])

    def test_tests_have_the_libraries_of_the_room_that_they_test(self):
        self.write("tests/numbers/tensor_test.cc", "#include <catch2/catch.hpp>\n#include <tensor/all.h>\n")
        self.assertEqual(self.problems(), [])
        self.write("tests/top/main_test.cc", "#include <catch2/catch.hpp>\n#include <tensor/all.h>\n")
        self.assert_one("tests/top/main_test.cc:2: #include <tensor/all.h>: Tensor", "allows tests/top libraries: Catch2")

    def test_a_header_of_no_known_library_and_a_file_that_is_not_there_are_named(self):
        self.write("top/main.cc", '#include "base/ground.h"\n#include <boost/any.hpp>\n#include "ground.h"\n')
        problems = self.problems()
        self.assertEqual(len(problems), 2, problems)
        self.assertIn("top/main.cc:2: #include <boost/any.hpp>: a header of no library", problems[0])
        self.assertIn('top/main.cc:3: #include "ground.h": no such file', problems[1])

    def test_a_circle_of_files_and_of_rooms_is_shown(self):
        self.write("base/ground.h", '#pragma once\n#include <unistd.h>\n#include "numbers/small.h"\n')
        self.write("numbers/small.h", '#pragma once\n#include "base/ground.h"\n')
        text = "\n".join(self.problems())
        self.assertIn("files include each other in a circle: base/ground.h > numbers/small.h > base/ground.h", text)
        self.assertIn("rooms include each other in a circle: base > numbers > base", text)

    def test_a_table_whose_room_uses_one_below_it_is_refused(self):
        self.change_table('what = "the ground"\nuses = []', 'what = "the ground"\nuses = ["top"]')
        self.assertIn('room "base" uses "top", which does not stand above it', self.problems()[0])

    def test_a_folder_without_a_row_and_a_row_without_a_folder_are_named(self):
        self.write("base/attic/old.cc", "")
        self.assert_one("base/attic: no room of this name in tests/architecture/rooms.toml")
        shutil.rmtree(self.top / "base/attic")
        shutil.rmtree(self.top / "numbers")
        problems = self.problems()
        self.assertIn('room "numbers" has no folder with C++ files', problems[0])

    def test_a_folder_with_too_many_files_is_named(self):
        for number in range(3):
            self.write(f"base/file_{number}.cc", "")
        self.assert_one("base: 4 source files; 3 are the most")

    def test_a_permission_that_nobody_needs_is_named(self):
        self.change_table('uses = ["base"]\nlibraries = []', 'uses = ["base", "numbers"]\nlibraries = []')
        self.assertTrue(any('room "top" may use numbers, which none of its files includes' in line for line in self.problems()))

    def test_a_program_that_loads_a_forbidden_library_is_named(self):
        table = architecture.Table(self.top / architecture.TABLE)
        self.assertEqual(list(architecture.check_programs(table, self.top)), [])  # it is not built
        shutil.copy(shutil.which("env"), self.top / "quiet")  # a program that loads libc, which the table calls a tensor library
        (problem,) = architecture.check_programs(table, self.top)
        self.assertIn("loads libc.so", problem)
        self.assertIn("without Tensor", problem)
        self.write("quiet", "no program")
        with self.assertRaisesRegex(OSError, "readelf"):
            list(architecture.check_programs(table, self.top))

    def test_the_table_in_the_overview_is_compared_and_written(self):
        command = [sys.executable, architecture.__file__, self.top]
        stale = subprocess.run(command, text=True, capture_output=True)
        self.assertEqual(stale.returncode, 1)
        self.assertIn("docs/overview.md: the table of rooms is not that of", stale.stdout)
        self.assertEqual(subprocess.run([*command, "--write"]).returncode, 0)
        self.assertEqual(subprocess.run(command, text=True, capture_output=True).stdout, "")
        text = (self.top / "docs/overview.md").read_text()
        self.assertIn("| `numbers` | tensors | base | Tensor |", text)
        self.assertTrue(text.startswith("# Rooms\n") and text.endswith("Further.\n"))
        self.write("docs/overview.md", "# Rooms\n")
        self.assertIn("the markers of the table of rooms are missing", subprocess.run(command, text=True, capture_output=True).stdout)


if __name__ == "__main__":
    unittest.main()
