"""Which addresses may be fetched: a URL by its form, an IP address by where it leads."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit, urlunsplit

from feedreader.errors import BadAddress

MAX_URL_BYTES = 2_000  # an index entry of PostgreSQL holds at most 2,704 bytes
DEFAULT_PORTS = {"http": 80, "https": 443}
IPV6_IN_USE = IPv6Network("2000::/3")  # all allocated addresses; NAT64, local and multicast ones are outside
IPV6_AROUND_IPV4 = (
    IPv6Network("2001::/32"),
    IPv6Network("2002::/16"),
)  # Teredo and 6to4 lead to an IPv4 address


def clean_address(text: str) -> str:
    """The URL a visitor means, in normal form: host in lower case, no default port, no #fragment.

    Raises BadAddress, whose message says what is wrong.
    """
    text = text.strip()
    if not text:
        raise BadAddress("Enter the address of a feed.")
    if len(text.encode("utf-8", "replace")) > MAX_URL_BYTES:
        raise BadAddress(f"This address is too long: at most {MAX_URL_BYTES} bytes.")
    if any(character.isspace() or not character.isprintable() or character == "\\" for character in text):
        raise BadAddress("An address can't contain spaces, control characters or backslashes.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadAddress("This is not an address: the server's name or port can't be read.") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise BadAddress("The address of a feed begins with http:// or https://")
    if not host:
        raise BadAddress("This address names no server.")
    if "@" in parts.netloc:
        raise BadAddress("An address with a user name or a password is not accepted.")
    netloc = f"[{host}]" if ":" in host else host
    if port not in (None, DEFAULT_PORTS[parts.scheme]):
        netloc += f":{port}"
    return urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, and not a tunnel to one that isn't."""
    ip: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return ip.is_global and ip in IPV6_IN_USE and not any(ip in tunnel for tunnel in IPV6_AROUND_IPV4)
        ip = ip.ipv4_mapped
    return ip.is_global and not ip.is_multicast
