"""The documentation: it builds without a warning, and what it tells to type exists."""

import argparse
import ast
import html
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

import kerasgen
from kerasgen.cli import build_parser

ROOT = pathlib.Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PARSER = build_parser()


def blocks(page, language):
    """The code blocks of a page, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", page.read_text(), flags=re.M | re.S)
    return [re.sub(rf"^{indent}", "", text, flags=re.M) for indent, text in found]


def commands():
    (action,) = [a for a in PARSER._actions if isinstance(a, argparse._SubParsersAction)]
    return action.choices


def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    reference = (tmp_path / "site" / "reference" / "models.html").read_text()
    text = html.unescape(re.sub(r"<[^>]+>", "", reference))
    for words in ("DCGAN", "generator_filters", "Length of the latent vector", "Raises:"):
        assert words in text  # the docstrings are there
    for page in (tmp_path / "site").rglob("*.html"):  # it opens from disk, asking nobody
        for link in re.findall(
            r'<(?:script|img|link)[^>]* (?:src|href)="([^"]+)"', page.read_text()
        ):
            assert not link.startswith(("http:", "https:", "//")), (page, link)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_commands_and_names_that_a_page_shows_exist(page):
    for text in blocks(page, "bash"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            for start in (i for i, word in enumerate(words) if word == "kerasgen"):
                if "train" not in words[start:] or "=" not in words[start - 1]:
                    PARSER.parse_args(words[start + 1 :])
    for text in blocks(page, "python"):
        for node in ast.walk(ast.parse(text)):
            name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            if name.startswith("kerasgen."):
                found = kerasgen
                for part in name.split(".")[1:]:
                    found = getattr(found, part)


def test_the_reference_says_what_help_says():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    for name, command in commands().items():
        section = page[page.index(f"## kerasgen {name}\n") :].split("\n## ")[0]
        rows = dict(re.findall(r"^\| `([^` ]+).*?` \| (.*) \|$", section, flags=re.M))
        expected = {
            (action.option_strings or [action.metavar])[-1]: action.help
            for action in command._actions
            if not isinstance(action, argparse._HelpAction)
        }
        assert {key: text.replace("\\", "") for key, text in rows.items()} == expected, name


def test_every_page_is_reached_and_every_public_callback_is_described():
    menu = (ROOT / "mkdocs.yml").read_text()
    for page in PAGES:
        assert str(page.relative_to(ROOT / "docs")) in menu
    described = (ROOT / "docs" / "reference" / "callbacks.md").read_text()
    for name in kerasgen.callbacks.__all__:
        assert f".{name}\n" in described
    models = (ROOT / "docs" / "reference" / "models.md").read_text()
    for entry in kerasgen.model_entries().values():
        assert f".{entry.class_name}\n" in models
