// AutobahnJS joins once and says who it has become. Arguments: URL, realm, method, authid, secret.
const autobahn = require("autobahn");
const nacl = require("tweetnacl");

const [url, realm, method, authid, secret] = process.argv.slice(2);
const { auth_cra, auth_cryptosign } = autobahn;
const key = method === "cryptosign" && nacl.sign.keyPair.fromSeed(new Uint8Array(Buffer.from(secret, "hex")));

const answers = {
  ticket: () => secret,
  wampcra: ({ challenge, salt, iterations, keylen }) =>
    auth_cra.sign(salt ? auth_cra.derive_key(secret, salt, iterations, keylen) : secret, challenge),
  cryptosign: (extra) => auth_cryptosign.sign_challenge(key, extra),
};

const connection = new autobahn.Connection({
  url,
  realm,
  authmethods: [method],
  authid,
  authextra: key ? { pubkey: auth_cryptosign.public_key(key) } : undefined,
  onchallenge: (session, asked, extra) => answers[asked](extra),
  max_retries: 0,
});
connection.onopen = (session, { authid, authrole, authmethod }) => {
  console.log(JSON.stringify({ authid, authrole, authmethod }));
  connection.close();
};
connection.onclose = (why, { reason }) => {
  if (reason && !reason.startsWith("wamp.close.")) console.log(JSON.stringify({ refused: reason }));
  return true;
};
connection.open();
