// AutobahnJS in Node. Arguments: URL, realm, serializer, topic, procedures' prefix.
import autobahn from "autobahn";

import { join } from "./autobahn_session.mjs";
import { obey, REFUSAL, say } from "./lines.mjs";

const [url, realm, serializer, topic, prefix] = process.argv.slice(2);
const { CBORSerializer, JSONSerializer, MsgpackSerializer } = autobahn.serializer;
const serializers = { json: JSONSerializer, msgpack: MsgpackSerializer, cbor: CBORSerializer };

const options = { url, realm, serializers: [new serializers[serializer]()] };
const { perform, leave } = await join(autobahn, options, topic, prefix, REFUSAL, say);
await obey(perform, leave);
