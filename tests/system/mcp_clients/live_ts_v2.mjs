// TypeScript SDK v2 over `taper connect`, in each way of agreeing on a revision. usage: live_ts_v2.mjs FILE COMMAND WORD...
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const [file, command, ...args] = process.argv.slice(2);
const modes = [["auto", "2026-07-28"], [{ pin: "2026-07-28" }, "2026-07-28"], ["legacy", "2025-11-25"]];
for (const [mode, version] of modes) {
  const client = new Client({ name: "try", version: "1" }, { versionNegotiation: { mode }, capabilities: { elicitation: {} } });
  client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: { word: "lamp" } }));
  const strange = [];
  client.onerror = (error) => strange.push(String(error));
  await client.connect(new StdioClientTransport({ command, args }));
  assert.equal(client.getNegotiatedProtocolVersion(), version);
  assert.match(client.getInstructions(), /Say everything once/);

  const { tools } = await client.listTools();
  assert.equal(tools.length, 70);
  assert.equal((await client.callTool({ name: "file.read", arguments: { path: file } })).content[0].text, "hello\n");
  const rich = await client.callTool({ name: "rich.everything", arguments: {} });
  assert.deepEqual(rich.structuredContent, { s: 1 });
  assert.deepEqual(rich._meta["plant.example/a"], { b: [1] });
  assert.equal(rich.content.length, 6);
  const steps = [];
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const slow = await client.callTool({ name: "rich.slow", arguments: {}, _meta: { traceparent, authorization: "x" } }, { onprogress: (p) => steps.push(p.progress) });
  assert.deepEqual(steps, [1, 2, 3]);
  assert.deepEqual(JSON.parse(slow.content[0].text), { traceparent });
  const denied = await client.callTool({ name: "file.read", arguments: { path: "/etc/passwd" } });
  assert.equal(denied.isError, true);
  assert.deepEqual(denied._meta["dev.taper/denial"], { code: 504 });
  await assert.rejects(client.callTool({ name: "nothing", arguments: {} }), { code: -32602 });

  const abort = new AbortController();
  const cut = client.callTool({ name: "sleep", arguments: { seconds: "600" } }, { signal: abort.signal });
  setTimeout(() => abort.abort(), 100);
  await assert.rejects(cut);

  const { resources } = await client.listResources();
  assert.match((await client.readResource({ uri: resources[0].uri })).contents[0].text, /Say everything once/);
  await assert.rejects(client.readResource({ uri: "taper://other" }));
  assert.deepEqual((await client.listPrompts()).prompts, []);
  const updated = new Promise((heard) => client.setNotificationHandler("notifications/resources/updated", heard));
  if (version === "2026-07-28") {
    const heard = await client.listen({ toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: ["taper://task", "taper://other"] });
    assert.deepEqual(heard.honoredFilter, { toolsListChanged: true, resourceSubscriptions: ["taper://task"] });
    await client.callTool({ name: "time.now", arguments: {} });
    assert.equal((await updated).params.uri, "taper://task");
    await heard.close();
    // Asks, is answered by the handler, and goes on.
    assert.equal((await client.callTool({ name: "asker.ask", arguments: {} })).content[0].text, "the word is lamp");
  } else {
    await client.ping();
    await client.subscribeResource({ uri: "taper://task" });
    await client.callTool({ name: "time.now", arguments: {} });
    assert.equal((await updated).params.uri, "taper://task");
  }
  await client.close();
  assert.deepEqual(strange, []);
}
console.log("TypeScript SDK v2 over taper connect: all as expected");
