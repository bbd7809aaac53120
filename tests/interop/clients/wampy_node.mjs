// Wampy in Node. Arguments: URL, realm, serializer, topic, procedures' prefix.
import { Wampy } from "wampy";
import { CborSerializer } from "wampy/CborSerializer.js";
import { JsonSerializer } from "wampy/JsonSerializer.js";
import { MsgpackSerializer } from "wampy/MsgpackSerializer.js";
import websocket from "websocket";

import { obey, REFUSAL, say } from "./lines.mjs";

const [url, realm, serializer, topic, prefix] = process.argv.slice(2);
const serializers = { json: JsonSerializer, msgpack: MsgpackSerializer, cbor: CborSerializer };

const session = new Wampy(url, {
  realm,
  ws: websocket.w3cwebsocket,
  serializer: new serializers[serializer](),
  autoReconnect: false,
  onClose: () => say({ left: true }),
  onError: (error) => console.error(error),
});

const procedures = {
  echo: ({ argsList, argsDict }) => ({ argsList, argsDict }),
  refuse: () => {
    throw { error: REFUSAL.uri, details: {}, argsList: REFUSAL.args, argsDict: REFUSAL.kwargs };
  },
  count: ({ details, argsList: [end], result_handler }) => {
    for (let number = 0; details.receive_progress && number < end; number += 1) {
      result_handler({ argsList: [number], options: { progress: true } });
    }
    return { argsList: [end] };
  },
  called: ({ details }) => ({ argsList: [details.procedure] }),
};
const standing = new Map();
const actions = {
  publish: async ({ uri, args, kwargs }) =>
    (await session.publish(uri, { argsList: args, argsDict: kwargs })).publicationId,
  call: async ({ uri, args, kwargs, progress }) => {
    const partial = [];
    const options = progress ? { progress_callback: ({ argsList }) => partial.push(argsList) } : {};
    const result = await session.call(uri, { argsList: args, argsDict: kwargs }, options);
    const told = { args: result.argsList ?? [], kwargs: result.argsDict ?? {} };
    return progress ? { ...told, progress: partial } : told;
  },
  subscribe: async ({ uri, match }) => {
    const report = ({ details, argsList, argsDict }) =>
      say({ event: { topic: details.topic ?? uri, args: argsList ?? [], kwargs: argsDict ?? {} } });
    const { subscriptionId, subscriptionKey } = await session.subscribe(uri, report, match && { match });
    standing.set(uri, () => session.unsubscribe(subscriptionKey, report));
    return subscriptionId;
  },
  register: async ({ uri, procedure, match }) => {
    const { registrationId } = await session.register(uri, procedures[procedure], match && { match });
    standing.set(uri, () => session.unregister(uri));
    return registrationId;
  },
  undo: async ({ uri }) => {
    await standing.get(uri)();
    return null;
  },
};

async function perform(command) {
  try {
    return await actions[command.do](command);
  } catch (error) {
    if (error.errorUri === undefined) throw error;
    throw { uri: error.errorUri, args: error.argsList ?? [], kwargs: error.argsDict ?? {} };
  }
}

await session.connect();
await perform({ do: "subscribe", uri: topic });
for (const name of ["echo", "refuse"]) {
  await perform({ do: "register", uri: `${prefix}.${name}`, procedure: name });
}
// Wampy offers one sub-protocol and does not say what it got.
say({ ready: `wamp.2.${serializer}` });
await obey(perform, () => session.disconnect());
