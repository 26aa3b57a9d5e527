// TypeScript SDK v2, in each way of agreeing on a revision: auto, pinned, legacy.
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const modes = [["auto", "2026-07-28"], [{ pin: "2026-07-28" }, "2026-07-28"], ["legacy", "2025-11-25"]];
for (const [mode, version] of modes) {
  const client = new Client({ name: "try", version: "1" }, { versionNegotiation: { mode } });
  const strange = [];
  client.onerror = (error) => strange.push(String(error));
  await client.connect(new StdioClientTransport({ command: process.argv[2] }));
  assert.equal(client.getNegotiatedProtocolVersion(), version);

  const { tools } = await client.listTools();
  assert.equal(tools.length, 7);
  const echoed = await client.callTool({ name: "echo", arguments: { text: "hé" } });
  assert.equal(echoed.content[0].text, "hé");
  assert.deepEqual((await client.callTool({ name: "sum", arguments: {} })).structuredContent, { sum: 3 });
  const denied = await client.callTool({ name: "denied", arguments: {} });
  assert.equal(denied.isError, true);
  assert.deepEqual(denied._meta["dev.taper/denial"], { code: 504 });
  await assert.rejects(client.callTool({ name: "nothing", arguments: {} }), { code: -32602 });
  const steps = [];
  await client.callTool({ name: "slow", arguments: { ms: 80 } }, { onprogress: (p) => steps.push(p.progress) });
  assert.deepEqual(steps, [1, 2, 3]);
  await assert.rejects(client.callTool({ name: "job", arguments: {} }), { code: version === "2026-07-28" ? -32021 : -32601 });

  const abort = new AbortController();
  const cut = client.callTool({ name: "slow", arguments: { ms: 5000 } }, { signal: abort.signal });
  setTimeout(() => abort.abort(), 20);
  await assert.rejects(cut);

  const { resources } = await client.listResources();
  const read = await client.readResource({ uri: resources[0].uri });
  assert.equal(read.contents[0].text, "41 calls are left");
  await assert.rejects(client.readResource({ uri: "taper://other" }));
  if (version === "2026-07-28") {
    const heard = await client.listen({ toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: ["taper://task", "taper://other"] });
    assert.deepEqual(heard.honoredFilter, { toolsListChanged: true, resourceSubscriptions: ["taper://task"] });
    await heard.close();
  } else {
    await client.ping();
    await client.subscribeResource({ uri: "taper://task" });
    await client.unsubscribeResource({ uri: "taper://task" });
  }
  await client.close();
  assert.deepEqual(strange, []);
}
console.log("TypeScript SDK v2: all as expected");
