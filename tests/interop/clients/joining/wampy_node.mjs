// Wampy joins once and says who it has become. Arguments: URL, realm, method, authid, secret.
import { createRequire } from "node:module";

import { Wampy } from "wampy";
import * as cryptosign from "wampy/cryptosign.js";
import * as wampcra from "wampy/wampcra.js";
import websocket from "websocket";

const nacl = createRequire(import.meta.url)("tweetnacl");

const [url, realm, method, authid, secret] = process.argv.slice(2);
const hex = (octets) => Buffer.from(octets).toString("hex");
const pubkey = () => hex(nacl.sign.keyPair.fromSeed(new Uint8Array(Buffer.from(secret, "hex"))).publicKey);
const plugins = {
  ticket: () => () => secret,
  wampcra: () => wampcra.sign(secret),
  cryptosign: () => cryptosign.sign(secret),
};

const session = new Wampy(url, {
  realm,
  authid,
  authmethods: [method],
  authextra: method === "cryptosign" ? { pubkey: pubkey() } : {},
  authPlugins: { [method]: plugins[method]() },
  authMode: "auto",
  ws: websocket.w3cwebsocket,
  autoReconnect: false,
});
try {
  const { authid, authrole, authmethod } = await session.connect();
  console.log(JSON.stringify({ authid, authrole, authmethod }));
  await session.disconnect();
} catch (error) {
  console.log(JSON.stringify({ refused: error.errorUri ?? String(error) }));
}
process.exit(0);
