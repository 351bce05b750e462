#!/usr/bin/env python3
"""documents.py finds a fault of every kind, and none where there is none."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent / "documents.py"
HELP = """#!/bin/sh
case "$*" in
  "--help") printf 'Usage\\n\\nOptions:\\n  --version  prints it\\n\\nSubcommands:\\n  verify                      checks\\n\\nRecords:\\n  data                        records\\n' ;;
  "data --help") printf 'Usage\\n\\nSubcommands:\\n  seal                        encrypts\\n' ;;
  *) printf 'Usage\\n\\nPositionals:\\n  path TEXT                   a file\\n\\nOptions:\\n  --json                      machine-readable\\n\\nExample:\\n  sotto data seal\\n' ;;
esac
"""
TREE = {
    "README.md": "# Top\nSee [the page](docs/page.md#two-words) and `client/a.h`.\n",
    "client/a.h": "class Site {};\n",
    "docs/glossary.md": "| word | carried by |\n|---|---|\n| site | `Site` |\n",
    "docs/page.md": "# Page\n## Two words\nText.\n\n    [code](nowhere.md)\n",
    "docs/index.md": "[page](page.md) [commands](commands.md) [decisions](decisions.md) [glossary](glossary.md)\n",
    "docs/decisions.md": "# Decisions\nFormat.\nFormat.\n\n## Group\n**D1. One.** *Superseded by D2.* Why.\n\n**D2. Two.** *Stands.* Why.\n",
    "docs/commands.md": "| command | what |\n|---|---|\n" + "".join(
        f"| `sotto-{p} {c}` | does it |\n" for p in ("client", "coordinator", "audit") for c in ("verify", "data seal")),
}


class Test(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="sotto-documents-")
        self.tree = Path(self.temporary.name)
        for name, text in TREE.items():
            (self.tree / name).parent.mkdir(exist_ok=True)
            (self.tree / name).write_text(text)
        (self.tree / "bin").mkdir()
        for name in ("client", "coordinator", "audit"):
            (self.tree / f"bin/sotto-{name}").write_text(HELP)
            (self.tree / f"bin/sotto-{name}").chmod(0o755)

    def tearDown(self):
        self.temporary.cleanup()

    def faults(self):
        done = subprocess.run([sys.executable, "-B", PROGRAM, "--bin", self.tree / "bin", self.tree], capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        lines = done.stdout.splitlines()
        self.assertEqual(done.returncode, 0 if lines == ["the documents hold together"] else 1)
        return lines

    def after(self, name, old, new):
        (self.tree / name).write_text(TREE[name].replace(old, new))
        return self.faults()

    def test_documents_that_hold_together_have_no_fault(self):
        self.assertEqual(self.faults(), ["the documents hold together"])

    def test_a_link_to_a_page_that_is_gone_is_named(self):
        self.assertEqual(self.after("README.md", "docs/page.md", "docs/old.md"),
                         ["README.md:2: the link leads to docs/old.md#two-words, which is not there"])

    def test_a_link_to_a_heading_that_is_gone_is_named(self):
        self.assertEqual(self.after("README.md", "#two-words", "#three-words"), ["README.md:2: docs/page.md has no heading #three-words"])

    def test_a_path_of_the_tree_that_is_gone_is_named(self):
        self.assertEqual(self.after("README.md", "client/a.h", "client/b.h"), ["README.md:2: names client/b.h, which is not there"])

    def test_a_type_of_the_glossary_that_no_header_declares_is_named(self):
        self.assertEqual(self.after("docs/glossary.md", "`Site`", "`SiteList`"), ["docs/glossary.md:3: no header declares SiteList"])

    def test_a_page_that_the_index_leaves_out_is_named(self):
        self.assertEqual(self.after("docs/index.md", "[page](page.md) ", ""), ["docs/index.md:1: does not name page.md"])

    def test_decisions_without_status_or_number_of_their_own_or_successor_are_named(self):
        self.assertIn("docs/decisions.md:8: is no entry", self.after("docs/decisions.md", " *Stands.*", "")[0])
        self.assertEqual(self.after("docs/decisions.md", "D2. Two", "D1. Two"),
                         ["docs/decisions.md:8: D1 is there twice", "docs/decisions.md:6: is superseded by D2, which is not there"])

    def test_commands_that_are_not_listed_and_rows_of_no_command_are_named(self):
        self.assertEqual(self.after("docs/commands.md", "`sotto-audit data seal`", "`sotto-audit data open`"),
                         ["docs/commands.md:1: has no row for sotto-audit data seal", "docs/commands.md:8: no program has sotto-audit data open"])


if __name__ == "__main__":
    unittest.main()
