// Deletes from a folder what X wants deleted: a listener for Redis Streams to copy, with nothing of Complyq's own.
//
//   npm install
//   COMPLYQ_EVENTS_URL='redis://127.0.0.1:6379/0?stream=complyq.events' node listener.mjs archive/
//
// The folder stands for your database: content/<type>/<id>.json is what you keep of X. The listener may be killed and
// started again at any time. COMPLYQ_NAMESPACE and CLAIM_SECONDS are read too.

import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createGunzip } from 'node:zlib';
import { createClient } from 'redis';

const NAMESPACE = process.env.COMPLYQ_NAMESPACE ?? 'default';
const SOURCE = `/complyq/${NAMESPACE}`; // installations may share a stream
const GROUP = `archive-node@${NAMESPACE}`; // each group gets all events; the listeners of a group share them
const CONSUMER = 'archive-node-1'; // unique in its group, and stable: after a crash its unfinished event comes back at once
const BLOCK_MILLISECONDS = 5000;
// An event that another listener has had for so long is taken over; more than handling one ever takes.
const CLAIM_MILLISECONDS = 1000 * Number(process.env.CLAIM_SECONDS ?? 300);

const [folder] = process.argv.slice(2);
if (!folder || !process.env.COMPLYQ_EVENTS_URL) {
  console.error("usage: COMPLYQ_EVENTS_URL='redis://host:6379/0?stream=complyq.events' node listener.mjs FOLDER");
  process.exit(2);
}
const address = new URL(process.env.COMPLYQ_EVENTS_URL);
const stream = address.searchParams.get('stream') ?? 'complyq.events';
address.search = '';

const redis = createClient({ url: address.href });
redis.on('error', (error) => console.error(`redis: ${error.message}`)); // it connects again by itself
await redis.connect();
for (;;) {
  try {
    await joinGroup();
    for await (const entry of entries()) {
      await settle(entry);
    }
  } catch (error) {
    if (/^(NOAUTH|WRONGPASS|NOPERM|WRONGTYPE)/.test(error.message)) throw error; // waiting does not help
    console.error(`results queue: ${error.message}; beginning again`);
    await sleep(1000);
  }
}

// ---- the results queue ----------------------------------------------------------------------------------------------

/** Make the group where there is none: at first, and where the stream was lost. It begins with what stands there. */
async function joinGroup() {
  try {
    await redis.xGroupCreate(stream, GROUP, '0', { MKSTREAM: true });
  } catch (error) {
    if (!error.message.startsWith('BUSYGROUP')) throw error;
  }
}

/** Yield what is ours and unfinished, then what others left unfinished, then what is new. */
async function* entries() {
  let after = '0';
  let claimDue = 0;
  for (;;) {
    if (after === '>' && Date.now() >= claimDue) {
      yield* abandoned();
      claimDue = Date.now() + CLAIM_MILLISECONDS / 2;
    }
    const options = { COUNT: 1, BLOCK: BLOCK_MILLISECONDS };
    const [entry] = (await redis.xReadGroup(GROUP, CONSUMER, { key: stream, id: after }, options))?.[0]?.messages ?? [];
    if (entry) yield entry;
    if (after !== '>') after = entry?.id ?? '>';
  }
}

/** Take over what a listener has had for too long: it is dead, or stuck. */
async function* abandoned() {
  let cursor = '0-0';
  do {
    const found = await redis.xAutoClaim(stream, GROUP, CONSUMER, CLAIM_MILLISECONDS, cursor, { COUNT: 1 });
    yield* found.messages.filter((entry) => entry !== null);
    cursor = found.nextId;
  } while (cursor !== '0-0');
}

/** Handle an entry's event, and only then acknowledge it. */
async function settle(entry) {
  const event = parsed(entry);
  if (event?.source === SOURCE) {
    try {
      await handleOnce(event);
    } catch (error) {
      console.error(`${event.id} cannot be handled; it will be delivered again:`, error);
      process.exit(1); // whoever supervises us starts us again, and is told
    }
  }
  await redis.xAck(stream, GROUP, entry.id);
}

/** What is no event is passed over, or it would stop everything behind it. */
function parsed(entry) {
  try {
    return JSON.parse(entry.message.event);
  } catch (error) {
    console.error(`entry ${entry.id} is no event: ${error.message}`);
    return undefined;
  }
}

// ---- what the events ask for ----------------------------------------------------------------------------------------

/** Copies have the same source and id. We may die between doing and noting: doing it twice must do no harm. */
async function handleOnce(event) {
  const note = join(folder, 'handled', createHash('sha256').update(`${event.source} ${event.id}`).digest('hex'));
  if (existsSync(note)) return;
  await handle(event);
  await put(note, { id: event.id });
}

async function handle(event) {
  switch (event.type) {
    case 'complyq.batch.results.v1':
      for await (const result of resultsOf(event.data)) await apply(result, event.data.checked_at);
      break;
    case 'complyq.batch.completed.v1':
    case 'complyq.batch.failed.v1':
    case 'complyq.batch.cancelled.v1': {
      const { unchecked = 0, error = null } = event.data; // what was not checked has to be enqueued again
      await put(join(folder, 'ended', `${event.subject}.json`), { state: event.type.split('.')[2], unchecked, error });
      break;
    }
    case 'complyq.batch.parked.v1':
      console.error(`${event.subject} waits for an operator: ${event.data.reason}`);
      break;
    default: // of a version to come
  }
}

/** Follow one result, unless a newer one is known for this ID. Times are text that sorts. */
async function apply(result, checked_at) {
  const { type, id, action, reason } = result;
  if (!/^(tweets|users)$/.test(type) || !/^[0-9]+$/.test(id)) throw new Error(`${type} ${id} is no ID`);
  const verdict = join(folder, 'verdicts', type, `${id}.json`);
  const known = existsSync(verdict) ? JSON.parse(await readFile(verdict, 'utf8')) : null;
  if (known && known.checked_at > checked_at) return;
  const done = action === 'delete'; // what deleting does not settle is work for somebody else, who marks it done
  if (done) await rm(join(folder, 'content', type, `${id}.json`), { force: true });
  await put(verdict, { action, reason, checked_at, done });
}

/** Write a file that is there in full or not at all. */
async function put(path, value) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.partial`, JSON.stringify(value));
  await rename(`${path}.partial`, path);
}

// ---- results that do not stand in the event -------------------------------------------------------------------------

/** Yield the results of an event, wherever they are; they are never all in memory. */
async function* resultsOf({ results, ref }) {
  if (results) {
    yield* results;
    return;
  }
  if (ref.format !== 'jsonl.gz') throw new Error(`${ref.url} is ${ref.format}: set COMPLYQ_RESULTS_FORMAT to jsonl or both`);
  const scratch = await mkdtemp(join(tmpdir(), 'results-'));
  try {
    const file = join(scratch, 'results.jsonl.gz');
    await fetchTo(file, ref);
    for await (const line of linesOf(file)) if (line) yield JSON.parse(line);
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** Copy a stored object; nothing of it is used before all of it is known to be right. */
async function fetchTo(file, ref) {
  await pipeline(await open(ref.url), createWriteStream(file));
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file)) hash.update(piece);
  const found = hash.digest('hex');
  if (found !== ref.sha256) throw new Error(`${ref.url} is not what the event says: SHA-256 ${found}`);
}

/** Open the object at s3://bucket/key or file:///path. */
async function open(url) {
  if (url.startsWith('file:')) return createReadStream(fileURLToPath(url));
  const { GetObjectCommand, S3Client } = await import('@aws-sdk/client-s3'); // takes long to load
  const { hostname, pathname } = new URL(url);
  const client = new S3Client({ forcePathStyle: Boolean(process.env.AWS_ENDPOINT_URL) });
  const object = await client.send(new GetObjectCommand({ Bucket: hostname, Key: decodeURIComponent(pathname.slice(1)) }));
  return object.Body;
}

/** Yield the lines; a file that cannot be unpacked to its end fails, it is not taken for a shorter one. */
async function* linesOf(file) {
  const unpacked = createGunzip();
  pipeline(createReadStream(file), unpacked).catch(() => {}); // what goes wrong ends the loop below
  let rest = '';
  for await (const piece of unpacked.setEncoding('utf8')) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop();
    yield* lines;
  }
  yield rest;
}
