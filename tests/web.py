"""Plain HTTP to the services of tests: the functions of httpx, which else read all certificate authorities of this
machine for each call, 25 ms of processor time."""

from functools import partial

import httpx

Client = partial(httpx.Client, verify=False)
get = partial(httpx.get, verify=False)
head = partial(httpx.head, verify=False)
options = partial(httpx.options, verify=False)
post = partial(httpx.post, verify=False)
put = partial(httpx.put, verify=False)
patch = partial(httpx.patch, verify=False)
delete = partial(httpx.delete, verify=False)
request = partial(httpx.request, verify=False)
