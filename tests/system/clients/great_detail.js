// A process of its own that drives the platform with @great-detail/whatsapp, as an application would:
// one JSON call a line in, one JSON answer a line out. NODE_EXTRA_CA_CERTS holds the platform's CA.
//   {"group":"message","method":"createMessage","options":{…}}
import readline from 'node:readline';
import Client from '@great-detail/whatsapp';

const client = new Client({
  prefixUrl: process.env.GRAPH_URL,
  ...(process.env.GRAPH_VERSION ? { graphVersion: process.env.GRAPH_VERSION } : {}),
  request: { headers: { Authorization: `Bearer ${process.env.GRAPH_TOKEN}` }, retry: 0 },
});

async function answer({ group, method, options }) {
  try {
    return { ok: await client[group][method](options).json() };
  } catch (error) {
    const response = error.response;
    return { error: { name: error.name, message: error.message, status: response?.status, body: await response?.json().catch(() => null) } };
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
