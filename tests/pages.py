#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of tools/check_docs.py and tools/render_tables.py, on pages of their own."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
sys.dont_write_bytecode = True
import check_docs  # noqa: E402
import render_tables  # noqa: E402

LONG = "word " * 25


class Width(unittest.TestCase):
    def test_a_long_line_of_prose_is_reported_with_its_number(self):
        self.assertEqual(check_docs.too_long(f"# Page\n\n{LONG}\n"), [(3, "125 columns, more than 100")])

    def test_a_long_line_in_a_block_of_code_or_a_table_is_allowed(self):
        self.assertEqual(check_docs.too_long(f"```\n{LONG}\n```\n| {LONG} |\n"), [])

    def test_a_long_line_behind_a_block_of_code_is_reported(self):
        self.assertEqual([number for number, _ in check_docs.too_long(f"```\n```\n{LONG}\n")], [3])

    def test_one_long_word_is_allowed(self):
        self.assertEqual(check_docs.too_long("- " + "x" * 120 + "\n"), [])


class Links(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.page = Path(folder.name) / "page.md"
        other = Path(folder.name) / "other.md"
        other.write_text("# `[memory]`: the words\n\n## Same\n\n## Same\n\n```\n# no heading\n```\n")

    def problems(self, text):
        return [problem for _, problem in check_docs.broken_links(self.page, text)]

    def test_links_to_files_and_headings_that_exist_are_fine(self):
        self.page.write_text("# Top\n")
        for target in ["other.md", "other.md#memory-the-words", "other.md#same-1", "#top"]:
            self.assertEqual(self.problems(f"see [it]({target})"), [], target)

    def test_a_link_to_a_missing_file_is_reported(self):
        self.assertEqual(self.problems("![it](none.png)"), ["the link none.png names no file"])

    def test_a_link_to_a_missing_heading_is_reported(self):
        for target in ["other.md#none", "other.md#same-2", "other.md#no-heading"]:
            self.assertEqual(
                self.problems(f"[it]({target})"), [f"the link {target} names no heading of other.md"]
            )

    def test_addresses_and_code_are_not_links_of_the_repository(self):
        self.assertEqual(self.problems("[it](https://example.org/x) and `[a](b)`"), [])


class Tables(unittest.TestCase):
    def rows(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            path.write_text(text)
            return render_tables.read(path)

    def test_numbers_are_separated_and_aligned(self):
        rows = self.rows('# make synth\nname,LUT6,note\n`a`,12345,"x, y"\n`b`,7,a|b\n')
        self.assertEqual(
            render_tables.markdown(rows),
            "| name | LUT6 | note |\n| --- | ---: | --- |\n"
            "| `a` | 12,345 | x, y |\n| `b` | 7 | a\\|b |\n",
        )

    def test_a_row_with_another_number_of_cells_is_refused(self):
        with self.assertRaises(render_tables.Failure):
            self.rows("a,b\n1\n")


if __name__ == "__main__":
    unittest.main()
