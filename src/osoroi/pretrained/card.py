"""What a folder says about its origin and its licence."""

import re
from typing import Final

from osoroi import files
from osoroi.pretrained.folder import ModelFolder

RESEARCH: Final = (
    "cc-by-nc", "noncommercial", "non-commercial", "non commercial", "research-only", "research only", "apple-amlr",
    "apple-ascl", "fair-noncommercial", "academic",
)  # fmt: skip
"""What licences say that do not allow a shop to use a model."""

UNSTATED: Final = ("", "unknown", "other", "none")
UNKNOWN: Final = "unknown"


def licence_of(folder: ModelFolder) -> str:
    """The licence that the model card, a configuration or a licence file states, or `unknown`."""
    inner = folder.config.get("pretrained_cfg")
    stated = folder.config.get("license") or (inner.get("license") if isinstance(inner, dict) else None) or ""
    for text in (_card(folder, "license_name"), _card(folder, "license"), str(stated)):
        if text.lower() not in UNSTATED:
            return text
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md", "license.txt"):
        path = folder.path(name)
        if path is not None:
            lines = files.content(path).decode(errors="replace").splitlines()
            return next((line.strip("# ").strip()[:100] for line in lines if line.strip("# ")), UNKNOWN)
    return UNKNOWN


def source_of(folder: ModelFolder) -> str:
    """Where the weights come from, as far as the folder says: a repository's name, or that of the folder."""
    for name in ("_name_or_path", "open_clip_model_name", "architecture"):
        value = folder.config.get(name)
        if isinstance(value, str) and value and not value.startswith(("/", ".")):
            return value
    return folder.root.resolve().name or UNKNOWN


def is_research_only(licence: str) -> bool:
    """Whether a licence excludes commercial use, by its usual names.

    >>> is_research_only("CC-BY-NC-4.0"), is_research_only("apache-2.0")
    (True, False)
    """
    return any(word in licence.lower() for word in RESEARCH)


def _card(folder: ModelFolder, field: str) -> str:
    """A field of the front matter of `README.md`."""
    path = folder.path("README.md")
    if path is None:
        return ""
    text = files.content(path).decode(errors="replace")[: 2**16]
    front = re.match(r"\s*---\n(.*?)\n---", text, re.DOTALL)
    field_of = front and re.search(rf"^{field}:[ \t]*(.+)$", front.group(1), re.MULTILINE)
    return field_of.group(1).strip().strip("'\"") if field_of else ""
