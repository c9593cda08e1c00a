"""The service: one process that answers programs (``/v1``) and people (``/``) from one catalog.

``app.make`` wires it. A request passes ``guard`` (keys, limits, headers), is parsed by ``forms`` and ``question``,
answered by ``service`` off the event loop, and rendered by ``api`` or ``pages``. Photos that people ask with live in
memory for as long as their request does.
"""
