// The walk of walk.py with the `openai` client of npm: the same steps, lines and names. It knows no create_and_poll,
// so it polls by hand, as its users do. It runs in a folder in which `npm ci` was run.

import fs from "node:fs";
import readline from "node:readline";
import OpenAI, { toFile } from "openai";

const given = JSON.parse(process.argv[2]);
const { version } = JSON.parse(fs.readFileSync("node_modules/openai/package.json"));

const little = { num_inference_steps: 1, seed: 7 };
const quick = { ...little, num_frames: 5 };
const clientOf = (key) => new OpenAI({ baseURL: given.url, apiKey: key, maxRetries: 0 });
const client = clientOf(given.key);
const picture = () => toFile(fs.readFileSync(given.picture), "picture.png", { type: "image/png" });
const say = (step, seen) => process.stdout.write(JSON.stringify({ step, ...seen }) + "\n");

async function done(video) {
  while (video.status === "queued" || video.status === "in_progress") {
    await new Promise((resolve) => setTimeout(resolve, 200));
    video = await client.videos.retrieve(video.id);
  }
  return video;
}

async function failing(name, ask) {
  try {
    await ask();
  } catch (error) {
    const { status, code, param, message, requestID } = error;
    say("error", { name, kind: error.constructor.name, status, code, param, message, has_request_id: Boolean(requestID) });
    return;
  }
  say("error", { name, kind: null });
}

async function make() {
  const prompt = "a fox runs over the meadow";
  const asked = { model: "sora-2", prompt, seconds: "4", size: "1280x720", ...quick };
  const queued = await client.videos.create(asked);
  const video = await done(queued);
  say("create", { video, request_id: Boolean(queued._request_id) });
  say("retrieve", { video: await client.videos.retrieve(video.id) });
  const pictured = await client.videos.create({
    prompt: "a fox runs",
    size: "480x288",
    input_reference: await picture(),
    ...quick,
  });
  const { response } = await client.videos.retrieve(pictured.id).withResponse();
  say("queued", { video: pictured, poll_ms: response.headers.get("openai-poll-after-ms") });
  await failing("content that is not ready", () => client.videos.downloadContent(pictured.id));
  say("pictured", { video: await done(pictured) });
  return { id: video.id, other: pictured.id };
}

async function read(ids) {
  for (const variant of ["video", "thumbnail", "spritesheet"]) {
    const content = await client.videos.downloadContent(ids.id, { variant });
    const data = Buffer.from(await content.arrayBuffer());
    const type = content.headers.get("content-type");
    say("content", { variant, type, size: data.length, head: data.subarray(0, 12).toString("hex") });
  }
  let size = 0;
  for await (const part of (await client.videos.downloadContent(ids.id)).body) size += part.length;
  say("streamed", { size });
  const found = [];
  let pages = 0;
  for await (const page of (await client.videos.list({ limit: 1, order: "asc" })).iterPages()) {
    found.push(...page.data.map((video) => video.id));
    pages += 1;
  }
  say("list", { ids: found, pages });
}

async function remake(ids) {
  const video = { id: ids.other };
  const remix = await client.videos.remix(ids.other, { prompt: "a fox in the snow", ...little });
  const edit = await client.videos.edit({ prompt: "a fox in the fog", video, ...little });
  const extend = await client.videos.extend({ prompt: "the fox stops", seconds: "0.25", video, ...little });
  const clip = fs.createReadStream(given.clip);
  const upload = await client.videos.edit({ prompt: "a fox at night", video: clip, consent: "nobody", ...little });
  say("remix", { of: ids.other, video: await done(remix) });
  say("edit", { of: ids.other, video: await done(edit) });
  say("extend", { of: ids.other, video: await done(extend) });
  say("edit of a file", { of: ids.other, video: await done(upload) });
}

async function characters() {
  const made = await client.videos.createCharacter({ name: "Pip", video: await picture(), consent: "nobody" });
  say("character", { id: made.id, name: (await client.videos.getCharacter(made.id)).name });
  const prompt = "Pip runs over the meadow";
  const used = await client.videos.create({ prompt, size: "480x288", characters: [made.id], ...quick });
  say("character used", { video: await done(used) });
}

async function around() {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  say("models", { ids, one: (await client.models.retrieve("sora-2")).id });
  const made = await client.images.generate({ prompt: "a panda on a meadow", size: "384x384", ...little });
  say("image", { count: made.data.length, head: made.data[0].b64_json.slice(0, 12) });
  const { results } = await client.moderations.create({ input: ["a panda on a meadow", "a fox"] });
  const categories = Object.keys(results[0].categories).sort();
  say("moderation", { flagged: results.map((one) => one.flagged), categories });
}

async function webhooks() {
  const body = { name: "me", url: "https://hooks.invalid/video", event_types: ["video.completed", "video.failed"] };
  const typed = typeof client.webhooks.create === "function";
  const made = typed
    ? await client.webhooks.create(body)
    : await client.post("/webhook_endpoints", { body });
  let listed = null;
  if (typed) {
    const found = [];
    for await (const one of client.webhooks.list()) found.push(one.id);
    listed = found.length === 1 && found[0] === made.id;
  }
  say("endpoint", { id: made.id, typed, listed });
  const lines = readline.createInterface({ input: process.stdin });
  const { value } = await lines[Symbol.asyncIterator]().next();
  lines.close();
  const sent = JSON.parse(value);
  const event = await client.webhooks.unwrap(sent.body, sent.headers, made.signing_secret);
  say("unwrapped", { type: event.type, video: event.data.id });
  try {
    await client.webhooks.unwrap(sent.body + " ", sent.headers, made.signing_secret);
  } catch (error) {
    say("changed", { kind: error.constructor.name });
  }
  const gone = await client.delete(`/webhook_endpoints/${made.id}`);
  say("endpoint deleted", { deleted: gone.deleted });
}

async function errors(ids) {
  const prompt = "a fox";
  await failing("a wrong key", () => clientOf("hk-wrong").videos.create({ prompt }));
  await failing("another's", () => clientOf(given.other_key).videos.retrieve(ids.id));
  await failing("an unknown field", () => client.videos.create({ prompt, colour: "red" }));
  await failing("no size", () => client.videos.create({ prompt, size: "big" }));
  const words = await toFile(Buffer.from("just words"), "cat.mp4");
  await failing("no picture", () => client.videos.create({ prompt, input_reference: words }));
}

say("client", { version });
const started = performance.now();
const ids = await make();
await read(ids);
await remake(ids);
await characters();
await around();
await webhooks();
await errors(ids);
const gone = await client.videos.delete(ids.id);
say("delete", { id: gone.id, object: gone.object, deleted: gone.deleted });
await failing("deleted", () => client.videos.retrieve(ids.id));
say("end", { seconds: Math.round((performance.now() - started) / 100) / 10 });
