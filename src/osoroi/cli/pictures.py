"""What commands say about the pictures that they write."""

from collections.abc import Iterable

from osoroi.cli import text
from osoroi.report import fonts


def note_fonts(captions: Iterable[str]) -> None:
    """Say on stderr for which scripts of a picture's captions no font was found, if any."""
    missing = fonts.missing_scripts(captions)
    if missing:
        text.warn(
            f"no font for {', '.join(missing)} was found, and the picture shows boxes in its place; install one, "
            "for instance Noto Sans CJK (Japanese, Chinese, Korean), Noto Sans Thai or Noto Color Emoji"
        )
