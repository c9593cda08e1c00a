"""``/v1``: the API for programs. ``routes`` and ``photos`` hold the routes, ``schemas`` the JSON of the document."""
