"""What TLS proves, and what a server that is not the service's gets out of a connection: never the password."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kolla_drain.database.connection import Database, _tls
from kolla_drain.database.target import target
from kolla_drain.errors import ConfigError, EvidenceUnavailable

SECRET = "s3cret"
SALT = b"01234567890123456789"
# PROTOCOL_41, SSL, SECURE_CONNECTION, PLUGIN_AUTH: https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html
PROTOCOL, TLS, SECURE, PLUGIN = 0x200, 0x800, 0x8000, 0x80000
KEY = rsa.generate_private_key(65537, 2048).public_key()
PEM = KEY.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
# By method: what the server asks, one answer of the client after the other.
ASKS = {
    "mysql_clear_password": [b"\xfemysql_clear_password\0"],
    "dialog": [b"\xfedialog\0\x04Password: "],
    "sha256_password": [b"\xfesha256_password\0" + SALT + b"\0", b"\x01" + PEM],
    "caching_sha2_password": [b"\xfecaching_sha2_password\0" + SALT + b"\0", b"\x01\x04", b"\x01" + PEM],
}


@dataclass
class Impostor:
    """A server that knows no account, and asks for the password."""

    listener: socket.socket
    asks: list[bytes]
    certificate: Path | None = None
    greets_with: str = "mysql_native_password"
    told: list[bytes] = field(default_factory=list)

    def serve(self) -> None:
        # The client goes away when it refuses.
        with contextlib.suppress(OSError), self.listener, self.listener.accept()[0] as plain:
            # Some versions of PyMySQL leave a connection that they have given up open.
            plain.settimeout(2)
            with contextlib.ExitStack() as stack:
                self._talk(stack, plain)

    def _talk(self, stack: contextlib.ExitStack, peer: socket.socket) -> None:
        capabilities = PROTOCOL | SECURE | PLUGIN | (TLS if self.certificate else 0)
        low, high = capabilities.to_bytes(4, "little")[:2], capabilities.to_bytes(4, "little")[2:]
        head = b"\x0a11.4.0-MariaDB\0\1\0\0\0" + SALT[:8] + b"\0" + low + b"\x2d\2\0" + high + b"\x15"
        _send(peer, 0, head + bytes(10) + SALT[8:] + b"\0" + self.greets_with.encode() + b"\0")
        number, first = _receive(peer)
        if self.certificate and len(first) == 32:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.certificate.with_suffix(".key"))
            peer = stack.enter_context(context.wrap_socket(peer, server_side=True))
            number, first = _receive(peer)
        self.told.append(first)
        for ask in self.asks:
            _send(peer, number + 1, ask)
            number, answer = _receive(peer)
            self.told.append(answer)

    @property
    def knows_the_password(self) -> bool:
        """In clear, or encrypted with its key of 2048 bits."""
        return any(SECRET.encode() in words or len(words) == 256 for words in self.told)


def _send(peer: socket.socket, number: int, payload: bytes) -> None:
    peer.sendall(len(payload).to_bytes(3, "little") + bytes([number]) + payload)


def _receive(peer: socket.socket) -> tuple[int, bytes]:
    head = peer.recv(4, socket.MSG_WAITALL) if not isinstance(peer, ssl.SSLSocket) else peer.recv(4)
    if len(head) < 4:
        raise ConnectionError
    payload = b""
    while len(payload) < int.from_bytes(head[:3], "little"):
        payload += peer.recv(int.from_bytes(head[:3], "little") - len(payload)) or b"\0"
    return head[3], payload


@contextlib.contextmanager
def impostor(method: str, certificate: Path | None = None, path: str = "", **more: str) -> Iterator[Impostor]:
    listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    listener.bind(path or ("127.0.0.1", 0))
    listener.listen()
    listener.settimeout(10)
    server = Impostor(listener, ASKS[method], certificate, **more)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        thread.join()


def url_of(server: Impostor, options: str = "") -> str:
    return f"mysql+pymysql://u:{SECRET}@127.0.0.1:{server.listener.getsockname()[1]}/d{options}"


def connect(url: str, **parts: object) -> str:
    with pytest.raises(EvidenceUnavailable) as caught, Database(target(url, **parts)).snapshot():
        pass
    assert SECRET not in str(caught.value)
    return "" if caught.value.passing else str(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate_for("IP:127.0.0.1", tmp_path_factory.mktemp("tls") / "server.pem")


def certificate_for(name: str, path: Path) -> Path:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server", "-days", "2",
         "-addext", f"subjectAltName={name}", "-keyout", path.with_suffix(".key"), "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("method", ASKS)
@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_is_not_verified_is_not_told_the_password(
    certificate: Path, method: str, tls: bool
) -> None:
    with impostor(method, certificate if tls else None) as server:
        message = connect(url_of(server), ssl_verify=False if tls else None)
    assert not server.knows_the_password
    assert "asks for the password itself" in message


@pytest.mark.parametrize("method", ["sha256_password", "caching_sha2_password"])
def test_nor_in_the_first_message(certificate: Path, method: str) -> None:
    with impostor(method, certificate, greets_with=method) as server:
        message = connect(url_of(server), ssl_verify=False)
    assert not server.knows_the_password
    assert "asks for the password itself" in message


def test_a_verified_server_is_told_it(certificate: Path) -> None:
    with impostor("mysql_clear_password", certificate) as server:
        connect(url_of(server), ssl_ca=str(certificate))
    assert server.knows_the_password


def test_and_one_behind_a_socket_of_this_host(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with impostor("mysql_clear_password", path=path) as server:
        connect(f"mysql+pymysql://u:{SECRET}@/d?unix_socket={path}")
    assert server.knows_the_password


class Answering:
    """A connection whose every answer is one row."""

    def __init__(self, row: dict[str, object]) -> None:
        self.row = row

    def cursor(self) -> Answering:
        return self

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, *_: object) -> None:
        pass

    def fetchall(self) -> list[dict[str, object]]:
        return [self.row]


def test_a_row_says_nothing_to_a_terminal() -> None:
    database = Database(target("mysql://u:p@h/d"))
    database._connection = Answering({"reason": "a\x1b[2Jb\nc\u202ed é {{ x }}", "age": 3, "none": None})
    with database.snapshot() as query:
        assert query("SELECT") == [{"reason": "a?[2Jb?c?d é {{ x }}", "age": 3, "none": None}]


NO, ANY, CHAIN, HOST = (None, None), ("CERT_NONE", False), ("CERT_REQUIRED", False), ("CERT_REQUIRED", True)


@pytest.mark.parametrize(
    ("options", "ca", "alone"),
    [
        ("", HOST, NO),
        ("ssl_verify=false", ANY, ANY),
        ("ssl_verify_cert=true&ssl_verify_identity=false", CHAIN, CHAIN),
        ("ssl_verify_identity=false&ssl_verify_cert=true", CHAIN, CHAIN),
        ("ssl_verify_cert=false&ssl_verify_identity=true", HOST, HOST),
        ("ssl_verify_cert=false", ANY, ANY),
        ("ssl_verify_cert=true", HOST, HOST),
        ("ssl_check_hostname=false", CHAIN, ANY),
        ("ssl_check_hostname=true", HOST, ANY),
        ("ssl=true", HOST, ANY),
        ("ssl=false", HOST, NO),
        ("ssl_mode=REQUIRED", HOST, ANY),
        ("ssl_mode=verify_ca", CHAIN, CHAIN),
        ("ssl_mode=VERIFY_IDENTITY", HOST, HOST),
        ("ssl_mode=PREFERRED", HOST, NO),
    ],
)
def test_what_a_url_asks_of_tls(
    certificate: Path, options: str, ca: tuple[str, bool], alone: tuple[str, bool]
) -> None:
    url = f"mysql+pymysql://u:p@h/d?{options}"
    found = [
        _tls(target(f"{url}&ssl_ca={certificate}")),
        _tls(target(url, ssl_ca=str(certificate))),
        _tls(target(url)),
    ]
    told = [(one.verify_mode.name, one.check_hostname) if one else NO for one in found]
    assert told == [ca, ca, alone]


def test_the_option_of_the_database_means_certificate_and_host_name(certificate: Path) -> None:
    url = f"mysql+pymysql://u:p@h/d?ssl_ca={certificate}&ssl_check_hostname=false"
    context = _tls(target(url, ssl_verify=True))
    assert context is not None
    assert context.check_hostname


def test_a_chain_is_verified_without_the_host_name(tmp_path: Path, certificate: Path) -> None:
    other = certificate_for("DNS:elsewhere", tmp_path / "other.pem")
    options = "?ssl_verify_cert=true&ssl_verify_identity=false"
    with impostor("mysql_clear_password", other) as server:
        connect(url_of(server, options), ssl_ca=str(other))
    assert server.knows_the_password
    with impostor("mysql_clear_password", other) as server:
        assert "is not trusted" in connect(url_of(server, options), ssl_ca=str(certificate))
    assert not server.knows_the_password


def test_a_chain_of_any_public_ca_proves_nothing_without_the_host_name(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with impostor("mysql_clear_password", certificate) as server:
        message = connect(url_of(server, "?ssl_mode=VERIFY_CA"))
    assert "asks for the password itself" in message
    assert not server.knows_the_password


@pytest.mark.parametrize("option", ["ssl_ca", "ssl_cert", "ssl_key"])
@pytest.mark.parametrize("what", ["pipe", "device", "large"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, option: str, what: str) -> None:
    """OpenSSL would read a device for ever, and wait for somebody who writes to a pipe."""
    path = tmp_path / "file.pem"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as stream:
            stream.truncate(100 << 20)
    with pytest.raises(EvidenceUnavailable, match=f"{option} .*file.pem .* cannot be read on this host"):
        _tls(target("mysql://u:p@h/d", **{option: str(path)}))


def test_in_a_folder_of_certificates_only_files_count(tmp_path: Path, certificate: Path) -> None:
    folder = tmp_path / "certs"
    folder.mkdir()
    os.mkfifo(folder / "a.pem")
    (folder / "b.pem").symlink_to("/dev/zero")
    (folder / "c.pem").write_text("-----BEGIN CERTIFICATE-----\n" * 100_000)
    (folder / "d.pem").write_bytes(certificate.read_bytes())
    context = _tls(target("mysql://u:p@h/d", ssl_ca=str(folder)))
    assert context is not None
    assert len(context.get_ca_certs()) == 1


def test_no_name_has_a_nul() -> None:
    with pytest.raises(ConfigError, match="the database's ssl_ca holds a NUL character"):
        target("mysql://u:p@h/d?ssl_ca=/a%00b")
