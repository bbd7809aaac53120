import pytest

from heliograph.auth import cryptosign
from heliograph.auth.errors import ChallengeRefused

CHANNEL_ID = "62e935ae755f3d48f80d4d59f6121358c435722a67e859cc0caa8b539027f2ff"

# The specification's own, "Test Vectors": channel_id, private_key, challenge, signature.
VECTORS = [
    (
        None,
        "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "b32675b221f08593213737bef8240e7c15228b07028e19595294678c90d11c0cae80a357331bfc5cc9fb71081464e6e7"
        "5013517c2cf067ad566a6b7b728e5d03ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ),
    (
        None,
        "d511fe78e23934b3dadb52fcd022974b80bd92bccc7c5cf404e46cc0a8a2f5cd",
        "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
        "d4209ad10d5aff6bfbc009d7e924795de138a63515efc7afc6b01b7fe5201372190374886a70207b042294af5bd64ce7"
        "25cd8dceb344e6d11c09d1aaaf4d660fb26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
    ),
    (
        None,
        "6e1fde9cf9e2359a87420b65a87dc0c66136e66945196ba2475990d8a0c3a25b",
        "b05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
        "7beb282184baadd08f166f16dd683b39cab53816ed81e6955def951cb2ddad1ec184e206746fd82bda075af03711d3d5"
        "658fc84a76196b0fa8d1ebc92ef9f30bb05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
    ),
    (
        CHANNEL_ID,
        "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "9b6f41540c9b95b4b7b281c3042fa9c54cef43c842d62ea3fd6030fcb66e70b3e80d49d44c29d1635da9348d02ec93f3"
        "ed1ef227dfb59a07b580095c2b82f80f9d16ca518aa0c2b707f2b2a609edeca73bca8dd59817a633f35574ac6fd80d00",
    ),
    (
        CHANNEL_ID,
        "d511fe78e23934b3dadb52fcd022974b80bd92bccc7c5cf404e46cc0a8a2f5cd",
        "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
        "305aaa3ac25e98f651427688b3fc43fe7d8a68a7ec1d7d61c61517c519bd4a427c3015599d83ca28b4c6523339202238"
        "44ef0725eb5dc2febfd6af7677b73f01d0852a29b460fc92ec943242ac638a053bbacc200512b18b30d15083cbdc9282",
    ),
    (
        CHANNEL_ID,
        "6e1fde9cf9e2359a87420b65a87dc0c66136e66945196ba2475990d8a0c3a25b",
        "b05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
        "ee3c7644fd8070532bc1fde3d70d742267da545d8c8f03e63bda63f1ad4214f4d2c4bfdb4eb9526def42deeb7e31602a"
        "6ff99eba893e0a4ad4d45892ca75e608d2b75e24a189a7f78ca776ba36fc53f6c3e31c32f251f2c524f0a44202f2902d",
    ),
]

PRIVATE_KEY = bytes.fromhex(VECTORS[0][1])
CHALLENGE = "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d"


@pytest.mark.parametrize(("channel_id", "private_key", "challenge", "signature"), VECTORS)
def test_vectors_of_the_specification(channel_id, private_key, challenge, signature):
    key, channel = bytes.fromhex(private_key), channel_id and bytes.fromhex(channel_id)
    assert cryptosign.sign_challenge(key, challenge, channel) == signature
    assert cryptosign.is_right(cryptosign.public_key(key), challenge, signature, channel)


class TestSignature:
    @pytest.fixture
    def public_key(self):
        return cryptosign.public_key(PRIVATE_KEY)

    @pytest.fixture
    def signature(self):
        return cryptosign.response(PRIVATE_KEY, cryptosign.challenge_extra(bytes.fromhex(CHALLENGE)))

    def test_is_right_for_its_challenge(self, public_key, signature):
        assert cryptosign.is_right(public_key, CHALLENGE, signature)
        assert cryptosign.is_right(public_key.upper(), CHALLENGE, signature.upper())

    def test_is_wrong_for_another_challenge(self, public_key, signature):
        assert not cryptosign.is_right(public_key, "00" * 32, signature)

    def test_is_wrong_with_another_key(self, signature):
        other = cryptosign.public_key(cryptosign.new_private_key())
        assert not cryptosign.is_right(other, CHALLENGE, signature)

    def test_is_wrong_when_something_else_is_behind_it(self, public_key, signature):
        assert not cryptosign.is_right(public_key, CHALLENGE, signature[:128] + "00" * 32)

    def test_is_wrong_when_the_message_behind_it_is_signed_and_was_not_asked(self, public_key):
        replayed = cryptosign.sign_challenge(PRIVATE_KEY, "11" * 32)
        assert not cryptosign.is_right(public_key, CHALLENGE, replayed)

    def test_is_wrong_when_bound_to_another_channel(self, public_key, signature):
        assert not cryptosign.is_right(public_key, CHALLENGE, signature, bytes.fromhex(CHANNEL_ID))

    @pytest.mark.parametrize("nonsense", ["", "zz" * 96, "00" * 96, "00" * 64, "ÄÖ", "\ud800", "0" * 193])
    def test_is_wrong_when_it_is_nonsense(self, public_key, nonsense):
        assert not cryptosign.is_right(public_key, CHALLENGE, nonsense)

    @pytest.mark.parametrize("key", ["", "00" * 31, "zz" * 32, "00" * 32])
    def test_is_wrong_for_what_is_no_key(self, key, signature):
        assert not cryptosign.is_right(key, CHALLENGE, signature)


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"challenge": None},
        {"challenge": "00" * 31},
        {"challenge": "zz" * 32},
        {"challenge": "00" * 32, "channel_binding": "tls-unique"},
    ],
)
def test_a_challenge_that_is_malformed_is_not_signed(extra):
    with pytest.raises(ChallengeRefused):
        cryptosign.response(PRIVATE_KEY, extra)


def test_a_public_key_is_told_from_other_text():
    assert cryptosign.is_public_key(cryptosign.public_key(PRIVATE_KEY))
    assert not cryptosign.is_public_key("peter")
    assert not cryptosign.is_public_key(None)


def test_hello_announces_the_public_key():
    assert cryptosign.hello_extra(PRIVATE_KEY) == {
        "pubkey": cryptosign.public_key(PRIVATE_KEY),
        "channel_binding": None,
    }
