// Calls of the Graph dialect over HTTPS with the platform's own CA. Nothing is retried, nothing thrown
// for an error status: a test wants to see every answer as it came.
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { within } from './wait.js';

export function makeGraph(env, { url = env.PARLEY_URL, token = env.PARLEY_TOKEN } = {}) {
  const isTls = url.startsWith('https:');
  const agent = isTls
    ? new https.Agent({ keepAlive: true, maxSockets: 64, ca: fs.readFileSync(env.PARLEY_CA_FILE) })
    : new http.Agent({ keepAlive: true, maxSockets: 64 });

  /** {status, headers, raw, body}: body is the parsed JSON, undefined where it is none. */
  function call(method, path, { json, body, headers = {}, token: own = token, seconds = 30 } = {}) {
    const sent = json === undefined ? body : JSON.stringify(json);
    const all = { ...headers };
    if (own) all.Authorization ??= `Bearer ${own}`;
    if (json !== undefined) all['Content-Type'] ??= 'application/json';
    if (sent !== undefined) all['Content-Length'] ??= Buffer.byteLength(sent);
    let request;
    const answer = new Promise((resolve, reject) => {
      request = (isTls ? https : http).request(new URL(path.startsWith('/') ? path : `/${path}`, url),
        { method, headers: all, agent }, (response) => {
          const parts = [];
          response.on('data', (part) => parts.push(part));
          response.on('error', reject);
          response.on('end', () => {
            const raw = Buffer.concat(parts);
            let parsed;
            try {
              parsed = JSON.parse(raw.toString());
            } catch { /* a test will complain if it should have been JSON */ }
            resolve({ status: response.statusCode, headers: response.headers, raw, body: parsed });
          });
        });
      request.on('error', reject);
      request.end(sent);
    });
    return within(seconds, `${method} ${path}`, answer).catch((error) => {
      request.destroy();
      throw error;
    });
  }

  const number = env.PARLEY_PHONE_NUMBER_ID;
  return {
    call,
    get: (path, options) => call('GET', path, options),
    post: (path, json, options) => call('POST', path, { json, ...options }),
    del: (path, options) => call('DELETE', path, options),
    messages: (json, options) => call('POST', `/v24.0/${number}/messages`,
      { json: { messaging_product: 'whatsapp', ...json }, ...options }),
    text: (to, body, more = {}, options = {}) => call('POST', `/v24.0/${number}/messages`,
      { json: { messaging_product: 'whatsapp', to, type: 'text', text: { body }, ...more }, ...options }),
    /** App webhook, with the app's own token. */
    subscribe: (callbackUrl, more = {}) => call('POST', `/v24.0/${env.PARLEY_APP_ID}/subscriptions`, {
      token: `${env.PARLEY_APP_ID}|${env.PARLEY_APP_SECRET}`,
      json: {
        object: 'whatsapp_business_account', callback_url: callbackUrl,
        verify_token: env.PARLEY_VERIFY_TOKEN, fields: 'messages', ...more,
      },
    }),
    close: () => agent.destroy(),
  };
}
