"""Links to the service's own paths. Ids stand in the query of a link: proxies merge ``//`` and decode ``%2F`` in a
path, and leave the query as it is."""

from urllib.parse import urlencode


def photo_url(root_path: str, crop_id: str) -> str:
    """Where the thumbnails of a crop's photo are, below the prefix of the service.

    >>> photo_url("/find", "P 1/2")
    '/find/v1/photo?id=P+1%2F2'
    """
    return f"{root_path}/v1/photo?{urlencode({'id': crop_id})}"
