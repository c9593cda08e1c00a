"""The service: one process that answers programs (``/v1``) and people (``/``) from one catalog.

A request passes ``connections`` (limits and clocks), ``middleware`` (keys, names, headers), its route behind the gate
(``admitted``, ``body``, ``forms``, ``limits``), and ``service``, which decodes in worker processes (``decoding``),
encodes in batches (``batching``) and searches. ``api`` and ``pages`` render the response. Photos of searches live in
memory while their request does: they are neither stored nor logged.
"""
