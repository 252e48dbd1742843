// The business's own software, as far as webhooks see it: records every attempt byte for byte and
// answers as it is told.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { EventEmitter } from 'node:events';
import http from 'node:http';
import { untilEvent } from './wait.js';

const WAIT_SECONDS = 60;

export class HookServer extends EventEmitter {
  /** verifyToken: what a handshake must carry. */
  constructor({ verifyToken } = {}) {
    super();
    this.setMaxListeners(0);
    this.verifyToken = verifyToken;
    this.attempts = []; // {headers, body, at, status, url}
    this.handshakes = []; // {query, headers}
    this.answer = () => ({ status: 200 });
    this.sockets = new Set();
    this.server = http.createServer((request, response) => this.#take(request, response));
    this.server.keepAliveTimeout = 60_000;
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  async listen(port = 0) {
    await new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, '127.0.0.1', resolve);
    });
    this.port = this.server.address().port;
    return this;
  }

  url(path = '/hook') {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  async close() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => { this.server.close(resolve); });
  }

  #take(request, response) {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('error', () => {});
    request.on('end', () => {
      if (request.method === 'GET') this.#shakeHands(request, response);
      else this.#record(request, response, Buffer.concat(parts));
    });
  }

  #shakeHands(request, response) {
    const query = Object.fromEntries(new URL(request.url, 'http://hook').searchParams);
    const isKnown = this.verifyToken === undefined || query['hub.verify_token'] === this.verifyToken;
    this.handshakes.push({ query, headers: request.headers });
    response.writeHead(isKnown ? 200 : 403).end(isKnown ? query['hub.challenge'] : 'no');
  }

  /** answer(attempt, n): {status, body, headers}, or {hang: true}, or {reset: true}. */
  #record(request, response, body) {
    const attempt = { headers: request.headers, url: request.url, body, at: Date.now() };
    const how = this.answer(attempt, this.attempts.length);
    attempt.status = how.status ?? 0;
    this.attempts.push(attempt);
    if (how.reset) request.socket.destroy();
    else if (!how.hang) response.writeHead(how.status, how.headers).end(how.body ?? 'ok');
    this.emit('attempt');
  }

  // ---- what came ----

  /** Taken with a 2xx, each event once: [{kind, value, id, status, eventId, attempt}]. */
  events(attempts = this.attempts.filter((a) => a.status >= 200 && a.status < 300)) {
    const seen = new Set();
    const events = [];
    for (const attempt of attempts) {
      const eventId = attempt.headers['x-parley-event-id'];
      if (eventId !== undefined && seen.has(eventId)) continue;
      seen.add(eventId);
      for (const entry of JSON.parse(attempt.body).entry) {
        for (const { value } of entry.changes) {
          for (const status of value.statuses ?? []) {
            events.push({ kind: 'status', value, id: status.id, status: status.status, detail: status, eventId, attempt });
          }
          for (const message of value.messages ?? []) {
            events.push({ kind: 'message', value, id: message.id, message, eventId, attempt });
          }
        }
      }
    }
    return events;
  }

  statuses(id) {
    return this.events().filter((event) => event.kind === 'status' && event.id === id);
  }

  untilStatus(id, status, seconds = WAIT_SECONDS) {
    return this.#until(seconds, () => `status ${status} of ${id}; got ${this.statuses(id).map((e) => e.status)}`,
      () => this.statuses(id).find((event) => event.status === status));
  }

  untilMessage(matches, seconds = WAIT_SECONDS) {
    return this.#until(seconds, 'an incoming message',
      () => this.events().find((event) => event.kind === 'message' && matches(event.message)));
  }

  untilAttempts(matches, n, seconds = WAIT_SECONDS) {
    return this.#until(seconds, () => `${n} attempts; got ${this.attempts.filter(matches).length}`, () => {
      const found = this.attempts.filter(matches);
      return found.length >= n ? found : null;
    });
  }

  #until(seconds, what, look) {
    return untilEvent(this, 'attempt', seconds, what, look);
  }
}

/** Does X-Hub-Signature-256 sign exactly these bytes with this secret? */
export function isSigned(attempt, secret) {
  const given = Buffer.from(attempt.headers['x-hub-signature-256'] ?? '');
  const wanted = Buffer.from(`sha256=${createHmac('sha256', secret).update(attempt.body).digest('hex')}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

export async function startHooks(t, env, options = {}) {
  const hooks = await new HookServer({ verifyToken: env?.PARLEY_VERIFY_TOKEN, ...options }).listen(options.port);
  t.after(() => hooks.close());
  return hooks;
}
