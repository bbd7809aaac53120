// What AutobahnJS's sessions can do, in Node and in the browser alike.

/**
 * Join, subscribe to the topic, register `echo` and `refuse`.
 * autobahn: the library.
 * options: of its connection.
 * refusal: what `refuse` answers with.
 * say: takes reports.
 * Returns a promise of {perform, leave}.
 */
export function join(autobahn, options, topic, prefix, refusal, say) {
  const connection = new autobahn.Connection({ max_retries: 0, ...options });
  const { promise, resolve, reject } = deferred();
  connection.onopen = (session) => {
    const client = commands(autobahn, session, refusal, say);
    const standing = [
      client.perform({ do: "subscribe", uri: topic }),
      client.perform({ do: "register", uri: `${prefix}.echo`, procedure: "echo" }),
      client.perform({ do: "register", uri: `${prefix}.refuse`, procedure: "refuse" }),
    ];
    Promise.all(standing).then(() => {
      say({ ready: connection.transport.info.protocol });
      resolve({ perform: client.perform, leave: () => connection.isOpen && connection.close() });
    }, reject);
  };
  connection.onclose = (reason, details) => {
    reject(new Error(`${reason}: ${JSON.stringify(details)}`));
    say({ left: true, reason: details.reason });
    return true; // do not retry
  };
  connection.open();
  return promise;
}

function commands(autobahn, session, refusal, say) {
  const standing = new Map();
  const procedures = {
    echo: (args, kwargs) => new autobahn.Result(args, kwargs),
    refuse: () => {
      throw new autobahn.Error(refusal.uri, refusal.args, refusal.kwargs);
    },
    count: ([end], _kwargs, details) => {
      for (let number = 0; details.progress && number < end; number += 1) details.progress([number]);
      return end;
    },
    called: (_args, _kwargs, details) => details.procedure,
  };
  // One value, or none, is handed over as it is.
  const values = (result) => {
    if (result instanceof autobahn.Result) return { args: result.args, kwargs: result.kwargs };
    return { args: result === null ? [] : [result], kwargs: {} };
  };
  const actions = {
    publish: async ({ uri, args, kwargs }) =>
      (await session.publish(uri, args, kwargs, { acknowledge: true })).id,
    call: async ({ uri, args, kwargs, progress }) => {
      const partial = [];
      const result = await session
        .call(uri, args, kwargs, progress ? { receive_progress: true } : {})
        .then(null, null, (value) => partial.push(values(value).args));
      return { ...values(result), ...(progress ? { progress: partial } : {}) };
    },
    subscribe: async ({ uri, match }) => {
      const report = (args, kwargs, details) => say({ event: { topic: details.topic ?? uri, args, kwargs } });
      standing.set(uri, await session.subscribe(uri, report, match ? { match } : {}));
      return standing.get(uri).id;
    },
    register: async ({ uri, procedure, match }) => {
      standing.set(uri, await session.register(uri, procedures[procedure], match ? { match } : {}));
      return standing.get(uri).id;
    },
    undo: async ({ uri }) => {
      const it = standing.get(uri);
      await (it.unsubscribe ?? it.unregister).call(it);
      return null;
    },
  };
  async function perform(command) {
    try {
      return await actions[command.do](command);
    } catch (error) {
      if (!(error instanceof autobahn.Error)) throw error;
      throw { uri: error.error, args: error.args, kwargs: error.kwargs };
    }
  }
  return { perform };
}

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
