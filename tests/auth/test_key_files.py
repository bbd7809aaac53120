import shutil
import subprocess

import pytest

from heliograph.auth import cryptosign
from heliograph.auth.errors import KeyFileError
from heliograph.auth.key_files import read_private_key, read_public_key

PRIVATE_KEY = bytes.fromhex("4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510")

needs_ssh_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed"
)


@pytest.mark.parametrize(
    "content",
    [
        PRIVATE_KEY,
        PRIVATE_KEY.hex().encode(),
        PRIVATE_KEY.hex().upper().encode() + b"\r\n",
        b"Crossbar.io private key\n\ncreator: a@b\npublic-key-ed25519: "
        + b"11" * 32
        + b"\nprivate-key-ed25519: "
        + PRIVATE_KEY.hex().encode()
        + b"\n",
    ],
)
def test_a_private_key_is_read_in_every_form(content):
    assert read_private_key(content) == PRIVATE_KEY


def ssh_keygen(tmp_path, kind="ed25519", passphrase=""):
    path = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "a comment", "-f", str(path)]
    subprocess.run(command, check=True, timeout=30)
    return path


@needs_ssh_keygen
class TestOpenSsh:
    def test_key_pair_is_read(self, tmp_path):
        path = ssh_keygen(tmp_path)
        private_key = read_private_key(path.read_bytes())
        assert read_public_key(path.with_suffix(".pub").read_bytes()) == cryptosign.public_key(private_key)

    def test_key_with_a_passphrase_says_what_to_do(self, tmp_path):
        path = ssh_keygen(tmp_path, passphrase="s3cret-s3cret")
        with pytest.raises(KeyFileError, match="ssh-keygen -p"):
            read_private_key(path.read_bytes())

    def test_key_of_another_kind_says_what_to_do(self, tmp_path):
        path = ssh_keygen(tmp_path, kind="ecdsa")
        with pytest.raises(KeyFileError, match="ssh-keygen -t ed25519"):
            read_private_key(path.read_bytes())
        with pytest.raises(KeyFileError):
            read_public_key(path.with_suffix(".pub").read_bytes())

    def test_key_that_is_cut_short_or_changed_is_refused(self, tmp_path):
        lines = ssh_keygen(tmp_path).read_bytes().splitlines(keepends=True)
        for damaged in (
            lines[:2] + lines[-1:],
            [lines[0], b"!!!!\n", *lines[2:]],
            lines[:1],
            [lines[0], lines[2]],
        ):
            with pytest.raises(KeyFileError, match="OpenSSH"):
                read_private_key(b"".join(damaged))


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\xff" * 40, b"00" * 33, b"0" * 100_000, b"00" * 16, b"0" * 31 + b"\n"]
)
def test_what_is_no_key_is_refused_and_not_repeated(content):
    for read in (read_private_key, read_public_key):
        with pytest.raises(KeyFileError) as caught:
            read(content)
        assert "000000" not in str(caught.value)


def test_a_public_key_is_read():
    public_key = cryptosign.public_key(PRIVATE_KEY)
    assert read_public_key(public_key.upper().encode() + b"\n") == public_key
