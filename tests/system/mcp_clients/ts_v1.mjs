// TypeScript SDK v1: legacy era, with its experimental tasks.
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const transport = new StdioClientTransport({ command: process.argv[2] });
const client = new Client({ name: "try", version: "1" }, { capabilities: {} });
const strange = [];
client.onerror = (error) => strange.push(String(error));
await client.connect(transport);
const caps = client.getServerCapabilities();
assert.deepEqual(caps.tasks, { cancel: {}, requests: { tools: { call: {} } } });
await client.ping();

const { tools } = await client.listTools();
assert.equal(tools.find((t) => t.name === "job").execution.taskSupport, "required");

const echoed = await client.callTool({ name: "echo", arguments: { text: "hé\n\"x\"" } });
assert.equal(echoed.content[0].text, "hé\n\"x\"");
assert.deepEqual(echoed._meta["dev.taper/remaining"], { calls: 41, lease_ms: 600000 });
assert.deepEqual((await client.callTool({ name: "sum" })).structuredContent, { sum: 3 });

const denied = await client.callTool({ name: "denied" });
assert.equal(denied.isError, true);
assert.deepEqual(denied._meta["dev.taper/denial"], { code: 504 });
await assert.rejects(client.callTool({ name: "nothing" }), { code: -32602 });

const steps = [];
await client.callTool({ name: "slow", arguments: { ms: 80 } }, undefined, { onprogress: (p) => steps.push(p.progress) });
assert.deepEqual(steps, [1, 2, 3]);

const abort = new AbortController();
const cut = client.callTool({ name: "slow", arguments: { ms: 5000 } }, undefined, { signal: abort.signal });
setTimeout(() => abort.abort(), 20);
await assert.rejects(cut);

const { resources } = await client.listResources();
const read = await client.readResource({ uri: resources[0].uri });
assert.equal(read.contents[0].text, "41 calls are left");
await assert.rejects(client.readResource({ uri: "taper://other" }), { code: -32002 });

async function stream(name, args) {
  const seen = [];
  for await (const message of client.experimental.tasks.callToolStream({ name, arguments: args }, undefined, { task: { ttl: 30000 } })) {
    seen.push(message);
  }
  return seen;
}
for (const name of ["slow", "job"]) {
  const seen = await stream(name, { ms: 200 });
  assert.equal(seen[0].type, "taskCreated");
  assert.equal(seen[0].task.ttl, 30000);
  const last = seen.at(-1);
  assert.equal(last.type, "result", JSON.stringify(last));
  assert.equal(last.result.content[0].text, "done");
  assert.deepEqual(last.result._meta["io.modelcontextprotocol/related-task"], { taskId: seen[0].task.taskId });
}
const failed = await stream("failing", {});
assert.ok(failed.some((m) => m.type === "taskStatus" && m.task.status === "failed"), JSON.stringify(failed));

// Cancel, and what is told of others' tasks.
const begun = client.experimental.tasks.callToolStream({ name: "job", arguments: { ms: 60000 } }, undefined, { task: {} });
const created = (await begun.next()).value;
const cancelled = await client.experimental.tasks.cancelTask(created.task.taskId);
assert.equal(cancelled.status, "cancelled");
await begun.return();
await assert.rejects(client.experimental.tasks.cancelTask(created.task.taskId), { code: -32602 });
await assert.rejects(client.experimental.tasks.getTask("no-such-task"), { code: -32602 });
await assert.rejects(client.experimental.tasks.listTasks());

await client.close();
assert.deepEqual(strange, []);
console.log("TypeScript SDK v1: all as expected");
