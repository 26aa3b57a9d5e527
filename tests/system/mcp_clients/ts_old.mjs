// Older TypeScript SDKs, each the last or near it that opens with its revision.
import assert from "node:assert/strict";

for (const version of ["2024-11-05", "2025-03-26", "2025-06-18"]) {
  const { Client } = await import(`sdk-${version}/client/index.js`);
  const { StdioClientTransport } = await import(`sdk-${version}/client/stdio.js`);
  const { LATEST_PROTOCOL_VERSION } = await import(`sdk-${version}/types.js`);
  assert.equal(LATEST_PROTOCOL_VERSION, version);
  const client = new Client({ name: "try", version: "1" }, { capabilities: {} });
  const strange = [];
  client.onerror = (error) => strange.push(String(error));
  await client.connect(new StdioClientTransport({ command: process.argv[2] }));
  await client.ping();
  assert.equal((await client.listTools()).tools.length, 7);
  const echoed = await client.callTool({ name: "echo", arguments: { text: "hé" } });
  assert.equal(echoed.content[0].text, "hé");
  const sum = await client.callTool({ name: "sum" });
  assert.deepEqual(sum.structuredContent, version === "2025-06-18" ? { sum: 3 } : undefined);
  assert.equal((await client.callTool({ name: "denied" })).isError, true);
  assert.equal((await client.callTool({ name: "job" })).isError, true);
  await assert.rejects(client.callTool({ name: "nothing" }), { code: -32602 });
  const steps = [];
  await client.callTool({ name: "slow", arguments: { ms: 80 } }, undefined, { onprogress: (p) => steps.push(p.progress) });
  assert.deepEqual(steps, [1, 2, 3]);
  const { resources } = await client.listResources();
  assert.equal((await client.readResource({ uri: resources[0].uri })).contents[0].text, "41 calls are left");
  await client.subscribeResource({ uri: "taper://task" });
  await client.close();
  assert.deepEqual(strange, []);
}
console.log("older TypeScript SDKs: all as expected");
