"""Words as a query, for encoders without a text tower: read into kind, colour and pattern, and searched in titles.

``reading`` understands a text, ``titles`` is the full-text search, ``fusion`` scores products by both and by photos.
"""

from osoroi.words.fusion import QueryAgreement, score
from osoroi.words.reading import Words, read
from osoroi.words.titles import TitleIndex

__all__ = ["QueryAgreement", "TitleIndex", "Words", "read", "score"]
