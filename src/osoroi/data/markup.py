"""Text that came through a web page: tags and entities of HTML in titles, brands and categories."""

import html
import re

NAMES = (
    "a abbr address article aside audio b big blockquote body br button caption center cite code col colgroup dd del"
    " details dfn div dl dt em embed fieldset figcaption figure font footer form h1 h2 h3 h4 h5 h6 head header hr html"
    " i iframe img input ins kbd label legend li link main map mark meta nav noscript object ol option p param picture"
    " pre q s samp script section select small source span strike strong style sub summary sup svg table tbody td"
    " textarea tfoot th thead time title tr tt u ul var video wbr"
)
"""Names of the tags of HTML."""

TAG = re.compile(
    rf"<!--.*?-->|</?(?:{'|'.join(NAMES.split())}|[a-z]+:[a-z]+)(?:\s*/?|\s[^<>=]*=[^<>]*)>", re.DOTALL | re.IGNORECASE
)
"""A tag of HTML or of an office program, with or without attributes: ``A<B and C>D`` is none."""
INLINE = re.compile(r"</?(?:a|abbr|b|em|font|i|mark|s|small|span|strong|sub|sup|u)(?=[\s/>])", re.IGNORECASE)
"""Tags that stand inside a word or beside it; all others part words."""

ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")


def has_markup(text: str) -> bool:
    """Whether a text has tags or entities.

    >>> has_markup("<b>Red</b> tee"), has_markup("A &amp; B"), has_markup("R&D <3")
    (True, True, False)
    >>> has_markup("A<B and C>D"), has_markup("I <love> you"), has_markup('<a href="/x">')
    (False, False, True)
    """
    return ("&" in text and ENTITY.search(text) is not None) or ("<" in text and TAG.search(text) is not None)


def without_markup(text: str) -> str | None:
    """A text without tags, and with the letters that entities stand for; None where nothing else was in it.

    >>> [without_markup(text) for text in ("<b>Re</b>d<br>tee &amp; belt", "&lt;i&gt;R&D&lt;/i&gt; <3", "<br/>")]
    ['Red tee & belt', 'R&D <3', None]
    """
    plain = ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    return " ".join(TAG.sub(lambda tag: "" if INLINE.match(tag[0]) else " ", plain).split()) or None
