"""``/``: the page for people, with its templates, its words in English and Japanese, and its addresses."""
