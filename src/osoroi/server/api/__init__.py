"""``/v1``: what programs ask. ``routes`` parse and answer, ``schemas`` are the JSON of the OpenAPI document."""
