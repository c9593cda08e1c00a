"""Keys and names in the headers of a request."""

import base64
import re

HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{0,5})?")
"""A Host header: a name or an address, and perhaps a port."""


def key_of(authorization: str) -> str | None:
    """The key of a request: its bearer token, or the password of the dialog that browsers show. None for anything else.

    >>> key_of("Bearer abc"), key_of("Basic " + base64.b64encode(b"anyone:abc").decode()), key_of("Basic é")
    ('abc', 'abc', None)
    """
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2] or None
        except ValueError:  # no base64, no ASCII, no UTF-8
            return None
    return None


def host_of(header: str) -> str | None:
    """The name in a Host header, without its port; None where it is no name.

    >>> host_of("localhost:8000"), host_of("[::1]:80"), host_of("127.0.0.1"), host_of("[::1"), host_of("a b")
    ('localhost', '[::1]', '127.0.0.1', None, None)
    """
    match = HOST.fullmatch(header)
    return match[1] if match else None
