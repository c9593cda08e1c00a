"""Addresses of PostgreSQL: TLS and passwords by libpq's means, and no secret in any error or log."""

import contextlib
import datetime
import ipaddress
import logging
import socket
import ssl
import threading
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner

import osoroi
import postgres
from osoroi.catalog.address import VARIABLES, Address, folder_of, place_of
from osoroi.catalog.opening import create_catalog, is_catalog, open_catalog
from osoroi.cli import main
from osoroi.errors import BadCatalog, BadRequest, CatalogUnavailable, OsoroiError
from shops import create, entry, found, put
from tcp_front import TcpFront

x509 = pytest.importorskip("cryptography.x509", reason="needs the package cryptography to make a certificate")


@pytest.fixture
def place(postgres_address: str) -> Address:
    return Address.parse(postgres_address)


def certificate() -> tuple[bytes, bytes]:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a server of tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(pem), private


class TlsFront(TcpFront):
    """Speaks TLS for a server that has none, as a pooler in front of a database does; ``encrypted`` counts sessions."""

    def __init__(self, server: tuple[str, int], chain: Path) -> None:
        self.encrypted = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(chain)
        super().__init__(server)

    def session(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:  # a client that refuses the certificate hangs up
            assert client.recv(8) == bytes.fromhex("00000008 04d2162f"), "no request for TLS"
            client.sendall(b"S")
            with self._context.wrap_socket(client, server_side=True) as inside:
                self.encrypted += 1
                with socket.create_connection(self.server) as server:
                    threading.Thread(target=self._pump, args=(server, inside), daemon=True).start()
                    self._pump(inside, server)

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)


def test_tls_is_verified_as_the_address_says(postgres_address, tmp_path):
    ours, key = certificate()
    other, _ = certificate()
    for name, pem in (("chain.pem", ours + key), ("ours.crt", ours), ("other.crt", other)):
        (tmp_path / name).write_bytes(pem)
    login, _, rest = postgres_address.rpartition("@")
    host, _, path = rest.partition("/")
    name, _, port = host.partition(":")
    front = TlsFront((name, int(port or 5432)), tmp_path / "chain.pem")
    try:
        right = f"{login}@127.0.0.1:{front.port}/{path}&sslmode=verify-full&sslrootcert={tmp_path}/ours.crt"
        with create(Address.parse(right), entry("a", [1, 0, 0, 0])) as catalog:
            assert found(catalog) == "a"
        assert front.encrypted > 0
        for wrong, says in (
            (right.replace("ours.crt", "other.crt"), "certificate verify failed"),
            (right.replace("@127.0.0.1", "@localhost"), "localhost"),
            (right.replace("ours.crt", "none.crt"), "none.crt"),
        ):
            with pytest.raises(CatalogUnavailable, match=says):
                open_catalog(Address.parse(wrong))
    finally:
        front.close()


def test_a_password_comes_by_the_environment_and_by_a_file(place, monkeypatch, tmp_path, postgres_url):
    if "pass%20word@" not in postgres_url:
        pytest.skip("the server was given, and its password is not known")
    create(place, entry("a", [1, 0, 0, 0])).close()
    without = Address.parse(f"{place.conninfo.replace(':pass%20word@', '@')}?schema={place.schema}")
    with pytest.raises(CatalogUnavailable, match="password"):
        open_catalog(without)
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSWORD", "pass word")
        open_catalog(without).close()
    passfile = tmp_path / "pgpass"
    passfile.write_text("*:*:*:*:pass word\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    open_catalog(without).close()


def test_a_cache_belongs_to_one_database(monkeypatch):
    """Addresses that lead to other servers never share one; those that only say how to speak to it do."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    base = "postgresql://ann@h/shops?schema=s"
    caches = {text: folder_of(Address.parse(text)) for text in (base, base + "&sslmode=require&connect_timeout=3")}
    assert len(set(caches.values())) == 1
    places = ["host=/run/b", "port=6543", "hostaddr=10.0.0.2", "dbname=other", "service=b", "servicefile=/b"]
    others = [base.replace("=s", "=t"), base.replace("@h", "@g"), *(f"{base}&{one}" for one in places)]
    assert len({folder_of(Address.parse(text)) for text in (base, *others)}) == len(others) + 1
    seen = {folder_of(Address.parse(base))}
    for name in VARIABLES:
        monkeypatch.setenv(name, "other")
        seen.add(folder_of(Address.parse(base)))
    assert len(seen) == len(VARIABLES) + 1
    assert "host=" in str(Address.parse(f"{base}&host=/run/b")), "an error says which server"


SECRET = "s3cret/@?&"
"""Characters that have to be written otherwise in an address."""

LOGIN = f"osoroi:{quote(SECRET, safe='')}"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://{LOGIN}@127.0.0.1:1/x",
        f"postgresql://osoroi@127.0.0.1:1/x?password={quote(SECRET, safe='')}",
        f"postgresql://{LOGIN}@127.0.0.1:1/x?sslmode=never",
        f"postgresql://{LOGIN}@127.0.0.1:1/x?no_such_option=1",
        f"postgresql://{LOGIN}@127.0.0.1:one/x",
        f"postgresql://osoroi:{SECRET}@127.0.0.1:1/x",
        "postgresql://osoroi:s3cret/y@127.0.0.1:1/x",
        "postgresql://osoroi:s3cret#y@127.0.0.1:1/x",
        "postgresql://osoroi:y#s3cret@127.0.0.1:1/x",
        "postgresql://osoroi:y@s3cret@127.0.0.1:1/x",
        "postgresql://osoroi:y/s3cret@127.0.0.1:1/x",
        "postgresql://osoroi:55?s3cret=1@127.0.0.1:1/x",
        "postgresql://osoroi:55?a=s3cret@127.0.0.1:1/x",
        "postgresql://osoroi:y@55?a=s3cret@127.0.0.1:1/x",
        "postgresql://osoroi:55?schema=s3cret@127.0.0.1:1/x",
        "postgresql://osoroi:55/y?a=s3cret@127.0.0.1:1/x",
        f"postgresql://{LOGIN}@[h/x",
        f"postgresql://{LOGIN}@h/x?schema=a&s3cret",
        f"postgresql://{LOGIN}@h/x?search=s3cret",
        f"postgresql://{LOGIN}@SERVER/postgres",
        f"postgresql://osoroi:pass%20word@SERVER/none_{'x'}?schema=a",
    ],
)
def test_no_error_shows_a_password(text, postgres_url, caplog, monkeypatch, tmp_path):
    monkeypatch.setenv("OSOROI_CACHE", str(tmp_path))
    caplog.set_level(logging.DEBUG)
    text = text.replace("SERVER", postgres_url.rpartition("@")[2].partition("/")[0])
    shown = []
    for call in (is_catalog, open_catalog, lambda place: create_catalog(place, fingerprint="f" * 64, dim=4)):
        with pytest.raises(OsoroiError) as caught:
            call(Address.parse(text))
        assert isinstance(caught.value, BadRequest | BadCatalog)
        shown.append("".join(traceback.format_exception(caught.value)))
    run = CliRunner().invoke(main, ["info", text])
    assert run.exit_code in (1, 2)
    for part in ("s3cret", "pass word", "pass%20word"):
        lines = [line for one in (*shown, run.output, caplog.text) for line in one.splitlines() if part in line]
        assert not [line for line in lines if not line.lstrip().startswith(("File", "text"))], lines


@pytest.mark.parametrize(
    "text",
    [
        "jdbc:postgresql://u:s3cret@h/x",
        "POSTGRESQL://u:s3cret@h/x",
        "postgresql+psycopg://u:s3cret@h/x",
        "postgres:/u:s3cret@h/x",
        "postgresql:u:s3cret@h/x",
        "host=h user=u password=s3cret",
        "password=s3cret",
        "https://u:s3cret@h/x",
        "u:s3cret://h/x",
        "mysql+driver://u:s3cret@h/x",
        "'postgresql://u:s3cret@h/x'",
        '"postgresql://u:s3cret@h/x"',
        "\u201cpostgres://u:s3cret@h/x\u201d",
        "\ufeffpostgresql://u:s3cret@h/x",
        "  postgresql://u:s3cret@h/x",
        "\tjdbc:postgresql://u:s3cret@h/x",
        "DATABASE_URL=postgresql://u:s3cret@h/x",
        "host = h user = u password = s3cret dbname = shop",
        " host = h user = s3cret",
        "'host=h user=u password=s3cret'",
        "dbname = 'a shop' password= 's3cret'",
        "sslpassword = s3cret",
        "Server=h;Uid=u;Pwd=s3cret",
    ],
)
def test_an_address_in_another_form_is_no_folder(text, tmp_path, monkeypatch):
    """It would be made, with the password as its name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.csv").write_text("product_id,photo\n")
    for words in (["info", text], ["add", text, "p.csv"]):
        run = CliRunner().invoke(main, words)
        assert run.exit_code == 2
        assert "a catalog is a folder or an address of PostgreSQL" in run.output
        of_others = text.startswith(("https", "mysql", "u:"))
        assert ("write postgresql://user@host" in run.output) == (not of_others)
        assert "s3cret" not in run.output
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]
    with pytest.raises(BadRequest) as caught:
        osoroi.open(text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["user=5/shop", "postgresql", "./postgres-shop", "a b", "shop 1 = 2", "C:\\shop", "c:/shop"]
)
def test_a_folder_may_have_such_a_name(name):
    assert place_of(name) == place_of(Path(name)) == Path(name)


def test_a_path_that_was_an_address_is_no_folder():
    """``Path`` makes one slash of two."""
    with pytest.raises(BadRequest, match="in another form") as caught:
        place_of(Path("postgresql://u:s3cret@h/x"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["postgresql://u:s3cret@h/x", " postgresql://u:s3cret@h/x", "password=s3cret"])
def test_no_address_becomes_a_file_that_is_written(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(main, ["backup", "shop", text])
    assert run.exit_code == 2
    assert "address" in run.output
    assert "s3cret" not in run.output
    assert list(tmp_path.iterdir()) == []


def test_several_hosts_are_an_address():
    for hosts in ("a:1,[::1]:2", "[::1]:2,a:1", "[::1],[::2]", "a,,b"):
        assert str(Address.parse(f"postgresql://{hosts}/shops")).startswith(f"postgresql://{hosts}/shops")
    with pytest.raises(BadRequest, match="cannot be read"):
        Address.parse("postgresql://a:1,[::1:2/shops")


def test_no_error_of_an_open_catalog_shows_its_password(place, postgres_url, caplog, monkeypatch):
    if "pass%20word@" not in postgres_url:
        pytest.skip("the server was given, and its password is not known")
    caplog.set_level(logging.DEBUG)
    shown = []
    with create(place, entry("a", [1, 0, 0, 0])) as catalog:
        reader = open_catalog(place, readonly=True)
        calls = [
            lambda: create(place),
            lambda: catalog.get("none"),
            lambda: put(reader, entry("b", [1, 0, 0, 0])),
            lambda: put(catalog, entry("b", [1, 0, 0, 0], title="x\0")),
            lambda: catalog.nearest(catalog.vectors(["a/0"]), 1, where="none = 1"),
            lambda: catalog.remove_empty() or catalog.get("none"),
        ]
        for call in calls:
            with pytest.raises(OsoroiError) as caught:
                call()
            shown.append("".join(traceback.format_exception(caught.value)))
        reader.close()
        with pytest.raises(BadCatalog) as caught:
            reader.get("a")
        shown.append(str(caught.value))
        postgres.drop(f"{place.conninfo}?schema={place.schema}")
        with pytest.raises(BadCatalog) as caught:
            catalog.get("a")
        shown.append("".join(traceback.format_exception(caught.value)))
    assert not [text for text in [*shown, caplog.text] if "pass word" in text or "pass%20word" in text]


def test_a_server_that_is_full_says_what_stays() -> None:
    psycopg = pytest.importorskip("psycopg")
    from osoroi.catalog.postgres.connection import explained

    address = Address.parse("postgresql:///db")
    for error in (psycopg.errors.DiskFull("no space"), MemoryError()):
        with pytest.raises(CatalogUnavailable) as caught, explained(address):
            raise error
        assert caught.value.hint.startswith("what was committed before stays; ")
