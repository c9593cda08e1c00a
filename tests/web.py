"""Plain HTTP to the services of tests: the functions of httpx, which else read all certificate authorities of this
machine for each call, 25 ms of processor time, and give up after 5 s, which a busy machine may take."""

from functools import partial

import httpx

TIMEOUT_S = 60.0
"""Seconds of silence after which a test fails; none waits for them to pass."""

Client = partial(httpx.Client, verify=False, timeout=TIMEOUT_S)
get = partial(httpx.get, verify=False, timeout=TIMEOUT_S)
head = partial(httpx.head, verify=False, timeout=TIMEOUT_S)
options = partial(httpx.options, verify=False, timeout=TIMEOUT_S)
post = partial(httpx.post, verify=False, timeout=TIMEOUT_S)
put = partial(httpx.put, verify=False, timeout=TIMEOUT_S)
patch = partial(httpx.patch, verify=False, timeout=TIMEOUT_S)
delete = partial(httpx.delete, verify=False, timeout=TIMEOUT_S)
request = partial(httpx.request, verify=False, timeout=TIMEOUT_S)
