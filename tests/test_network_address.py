"""The address that ``osoroi serve`` names for phones in the same network."""

import pytest

from osoroi.server.network import outward, page_for_others


@pytest.mark.parametrize(
    ("host", "address", "page"),
    [
        ("0.0.0.0", "192.168.1.20", "http://192.168.1.20:8008/"),
        ("::", "10.0.0.5", "http://10.0.0.5:8008/"),
        ("0.0.0.0", None, None),  # no network
        ("0.0.0.0", "127.0.0.1", None),
        ("127.0.0.1", "192.168.1.20", None),
        ("192.168.1.20", "192.168.1.20", None),  # it stands there already
    ],
)
def test_a_page_for_others_is_named_where_others_can_reach_it(host: str, address: str | None, page: str | None) -> None:
    assert page_for_others(host, 8008, lambda: address) == page


def test_asking_for_the_way_out_needs_no_network() -> None:
    address = outward()
    assert address is None or address.count(".") == 3
