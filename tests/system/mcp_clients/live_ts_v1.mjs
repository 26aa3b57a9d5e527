// TypeScript SDK v1, with its experimental tasks, over `taper connect`. usage: live_ts_v1.mjs FILE COMMAND WORD...
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { CallToolResultSchema, ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const [file, command, ...args] = process.argv.slice(2);
const client = new Client({ name: "try", version: "1" }, { capabilities: {} });
const strange = [];
client.onerror = (error) => strange.push(String(error));
await client.connect(new StdioClientTransport({ command, args }));
assert.deepEqual(client.getServerCapabilities().tasks, { cancel: {}, requests: { tools: { call: {} } } });
await client.ping();

const first = await client.listTools();
const second = await client.listTools({ cursor: first.nextCursor });
const tools = [...first.tools, ...second.tools];
assert.equal(tools.length, 70);
assert.equal(tools.find((t) => t.name === "sleep").execution.taskSupport, "optional");

const read = await client.callTool({ name: "file.read", arguments: { path: file } });
assert.equal(read.content[0].text, "hello\n");
assert.ok(read._meta["dev.taper/remaining"].lease_ms > 0);
// Held against the tool's output schema by the client.
assert.deepEqual((await client.callTool({ name: "rich.everything" })).structuredContent, { s: 1 });
const denied = await client.callTool({ name: "file.read", arguments: { path: "/etc/passwd" } });
assert.equal(denied.isError, true);
assert.deepEqual(denied._meta["dev.taper/denial"], { code: 504 });
assert.equal((await client.callTool({ name: "rich.fails", arguments: { why: "it broke" } })).isError, true);
await assert.rejects(client.callTool({ name: "nothing" }), { code: -32602 });
const steps = [];
const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const slow = await client.callTool({ name: "rich.slow", _meta: { traceparent, authorization: "x" } }, undefined, { onprogress: (p) => steps.push(p) });
assert.deepEqual(steps, [1, 2, 3].map((step) => ({ progress: step, total: 3, message: `step ${step}` })));
assert.deepEqual(JSON.parse(slow.content[0].text), { traceparent });

const abort = new AbortController();
const cut = client.callTool({ name: "sleep", arguments: { seconds: "600" } }, undefined, { signal: abort.signal });
setTimeout(() => abort.abort(), 100);
await assert.rejects(cut);

const { resources } = await client.listResources();
assert.match((await client.readResource({ uri: resources[0].uri })).contents[0].text, /Say everything once/);
await assert.rejects(client.readResource({ uri: "taper://other" }), { code: -32002 });
const updated = new Promise((heard) => client.setNotificationHandler(ResourceUpdatedNotificationSchema, heard));
await client.subscribeResource({ uri: resources[0].uri });
await client.callTool({ name: "time.now" });
assert.equal((await updated).params.uri, resources[0].uri);

async function stream(seconds) {
  const seen = [];
  for await (const message of client.experimental.tasks.callToolStream({ name: "sleep", arguments: { seconds } }, undefined, { task: { ttl: 30000 } })) seen.push(message);
  return seen;
}
const seen = await stream("1.2");
assert.equal(seen[0].type, "taskCreated");
assert.equal(seen[0].task.ttl, 30000);
assert.equal(seen.at(-1).type, "result", JSON.stringify(seen.at(-1)));
assert.deepEqual(seen.at(-1).result._meta["io.modelcontextprotocol/related-task"], { taskId: seen[0].task.taskId });
const broke = [];
for await (const message of client.experimental.tasks.callToolStream({ name: "rich.fails", arguments: { why: "it broke" } }, undefined, { task: {} })) broke.push(message);
// Of a failed task the SDK's stream says only that; what the tool said stands in its result.
const told = await client.experimental.tasks.getTaskResult(broke[0].task.taskId, CallToolResultSchema);
assert.equal(told.isError, true);
assert.match(told.content[0].text, /it broke/);
const failed = await stream("wrong");
assert.ok(failed.some((m) => m.type === "taskStatus" && m.task.status === "failed"), JSON.stringify(failed));

const begun = client.experimental.tasks.callToolStream({ name: "sleep", arguments: { seconds: "600" } }, undefined, { task: {} });
const created = (await begun.next()).value;
assert.equal((await client.experimental.tasks.cancelTask(created.task.taskId)).status, "cancelled");
await begun.return();
await assert.rejects(client.experimental.tasks.cancelTask(created.task.taskId), { code: -32602 });
await assert.rejects(client.experimental.tasks.getTask("f".repeat(32)), { code: -32602 });

await client.close();
assert.deepEqual(strange, []);
console.log("TypeScript SDK v1 over taper connect: all as expected");
