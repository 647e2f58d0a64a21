"""Where an outbound request may go, judged by looks and by address."""

from __future__ import annotations

import ipaddress

import pytest

from channels_app.egress import PORTS, Egress, is_public
from channels_app.errors import ProviderMissing, UrlRefused
from tests.channels_app.urls import ADDRESSES, FORMS, NEVER

PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "3ffe::1",
)


def refused(egress: Egress, url: str) -> bool:
    try:
        egress.inspect(url)
    except UrlRefused:
        return True
    return False


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_inside_is_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public_up_to_the_edges_of_the_closed_networks(address):
    assert is_public(ipaddress.ip_address(address))


def test_an_address_that_is_bound_to_an_interface_is_not_public():
    assert not is_public(ipaddress.ip_address("2606:4700:4700::1111%eth0"))


def test_at_least_120_forms_are_known():
    assert len({url for url, _ in FORMS}) >= 120


@pytest.mark.parametrize("url", [url for url, _ in FORMS if url.isascii() and "localhost" not in url.lower()])
def test_a_url_that_spells_an_address_inside_is_refused_by_its_looks(url):
    assert refused(Egress(), url)


@pytest.mark.parametrize("url", [url for url in NEVER if "[v1" not in url])
def test_a_url_that_is_none_of_the_web_is_refused_by_its_looks(url):
    assert refused(Egress(), url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://example.com",
        "HTTPS://EXAMPLE.COM/Path?query=1#part",
        "https://example.com:8443/hook",
        "https://sub_domain.example-1.com./",
        "https://xn--bcher-kva.example/",
        "https://bücher.example/",
        "https://1.1.1.1/",
        "https://[2606:4700:4700::1111]/",
        "https://example.com/@user?to=a@b.example",
        "https://example.com/%2f%00",
        "https://1password.example/",
        "https://0x7f.example/",
    ],
)
def test_an_ordinary_url_is_let_through(url):
    assert not refused(Egress(), url)


@pytest.mark.parametrize("port", [1, 22, 25, 53, 111, 2375, 5432, 6379, 9200, 11211])
def test_a_port_that_no_web_server_has_is_refused(port):
    assert refused(Egress(), f"http://example.com:{port}/")
    with pytest.raises(UrlRefused, match="port"):
        Egress().permit("example.com", "1.1.1.1", port)
    for open_port in PORTS:
        Egress().permit("example.com", "1.1.1.1", open_port)


# What the operator lets through


def test_an_allowed_network_is_let_through_on_every_port_and_no_other_network_is():
    egress = Egress.from_words(["10.1.0.0/16", "fd00:1::/32", "192.168.0.7"])
    for address in ("10.1.0.1", "10.1.255.255", "fd00:1::1", "192.168.0.7"):
        egress.permit("anything.example", address, 9000)
        egress.inspect(f"http://[{address}]:9000/" if ":" in address else f"http://{address}:9000/")
    for address in ("10.2.0.1", "fd00:2::1", "192.168.0.8", "::ffff:10.1.0.1", "127.0.0.1"):
        with pytest.raises(UrlRefused):
            egress.permit("anything.example", address, 80)


def test_an_allowed_host_is_let_through_wherever_it_leads_and_its_neighbours_are_not():
    egress = Egress.from_words(["Hooks.Internal", "localhost"])
    egress.permit("hooks.internal", "10.0.0.1", 9000)
    egress.permit("HOOKS.INTERNAL.", "10.0.0.1", 9000)
    egress.inspect("http://hooks.internal:9000/")
    for host in ("x.hooks.internal", "hooks.internal.example", "internal"):
        with pytest.raises(UrlRefused):
            egress.permit(host, "10.0.0.1", 80)


@pytest.mark.parametrize(
    "word", ["http://a/", "10.0.0.0/33", "10.0.0.1/8", "a b", "*.internal", "1.2.3", "0x7f", "a:80"]
)
def test_what_is_neither_network_nor_host_is_refused_by_name(word):
    with pytest.raises(ProviderMissing, match="EGRESS_ALLOW"):
        Egress.from_words([word])
