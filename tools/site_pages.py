"""Hooks of mkdocs: pages made from the README and from the docstrings, and links that leave docs/.

`mkdocs.yml` names this file. The home page is the README; links to files outside docs/ lead to the repository.
"""

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "osoroi"
COPIED = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
    "releasing.md": "RELEASING.md",
}
"""Page of the site -> file of the repository."""

LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


class Examples(Preprocessor):  # type: ignore[misc]  # markdown has no types
    """Fences doctests and formulas of docstrings, so that Markdown does not read their brackets and stars."""

    def run(self, lines: list[str]) -> list[str]:
        """Wrap each block that begins with ``>>>`` or ``.. math::`` in a code fence."""
        fenced: list[str] = []
        end = ""
        for line in lines:
            text = line.strip()
            if not end and text.startswith(">>> "):
                fenced.append("```pycon")
                end = "blank"
            elif not end and text.startswith(".. math::"):
                fenced.append("```text")
                end = "unindented"
                fenced.append(text.removeprefix(".. math::"))
                continue
            elif (end == "blank" and not text) or (end == "unindented" and text and not line.startswith(" ")):
                fenced += ["```", ""]
                end = ""
            fenced.append(line)
        return [*fenced, "```"] if end else fenced


class ExamplesExtension(Extension):  # type: ignore[misc]
    """The Markdown extension of ``Examples``; it runs before code fences are read."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802  the name that Markdown calls
        """Register the preprocessor."""
        md.preprocessors.register(Examples(md), "examples", 40)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the generated reference to the navigation, and the examples of docstrings to Markdown."""
    config.markdown_extensions.append(ExamplesExtension())
    pages = [f"reference/{name}.md" for name in reference_pages()]
    assert config.nav is not None
    config.nav.append({"Reference": pages})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the copied pages and the generated reference."""
    for page, path in COPIED.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=relink(text, path, page, config)))
    for name, text in reference_pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Let links of a page in docs/ that lead outside it lead to the repository."""
    path = page.file.src_uri
    generated = path in COPIED or path.startswith("reference/")
    return markdown if generated else relink(markdown, f"docs/{path}", path, config)


def relink(text: str, path: str, page: str, config: MkDocsConfig) -> str:
    """Rewrite relative links of the file at `path` for the site's page `page`."""
    page_of = {file: name for name, file in COPIED.items()}

    def target(match: re.Match[str]) -> str:
        link = match[2]
        if re.match(r"[a-z]+:", link):
            return match[0]
        file = normpath(join(dirname(path), link))
        inside = page_of.get(file) or (file.removeprefix("docs/") if is_page(file) else None)
        if inside is None:
            return f"{match[1]}{config.extra['repository']}/blob/main/{file}{match[3]}"
        return f"{match[1]}{relpath(inside, dirname(page) or '.')}{match[3]}"

    return LINK.sub(target, text)


def is_page(file: str) -> bool:
    """Whether the site has this file of the repository: a page or a picture under docs/."""
    return file.startswith("docs/") and (ROOT / file).is_file() and not file.endswith(".ipynb")


def reference_pages() -> dict[str, str]:
    """One page for each package, with the docstrings of its modules; `osoroi` holds the top-level modules.

    Entry points of the command line are left out: the page of the command line documents them.
    """
    modules: dict[str, list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts[0] == "cli" or any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        package = "osoroi" if len(parts) == 1 else f"osoroi.{parts[0]}"
        modules.setdefault(package, []).append(".".join(("osoroi", *parts)).removesuffix(".__init__"))
    return {package: reference_page(package, names) for package, names in sorted(modules.items(), key=first_top)}


def reference_page(package: str, modules: list[str]) -> str:
    """Markdown that mkdocstrings expands, without repeating members of one module under another."""
    blocks = (f"::: {name}\n    options: {{show_submodules: false}}\n" for name in modules)
    return f"# {package}\n\n" + "\n".join(blocks)


def first_top(item: tuple[str, list[str]]) -> tuple[bool, str]:
    """Sort key: the top-level modules first, then packages by name."""
    return item[0] != "osoroi", item[0]
