// Judges kept messages by the schemas of the TypeScript SDKs v1 and v2 and of their package of tasks.
// usage: strict_ts.mjs FILE   (one {"era", "method", "task", "message"} a line)
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as v1 from "@modelcontextprotocol/sdk/types.js";
import * as v2 from "@modelcontextprotocol/core";
import * as tasks1 from "@modelcontextprotocol/ext-tasks/core/v1";
import * as tasks2 from "@modelcontextprotocol/ext-tasks/core/v2";

const MODERN = "2026-07-28";
const RESULTS = {
  "initialize": "Initialize", "server/discover": "Discover", "tools/list": "ListTools", "tools/call": "CallTool",
  "resources/list": "ListResources", "resources/templates/list": "ListResourceTemplates", "resources/read": "ReadResource",
  "prompts/list": "ListPrompts", "tasks/get": "GetTask", "tasks/result": "CallTool", "tasks/cancel": "CancelTask",
  "subscriptions/listen": "SubscriptionsListen", "ping": "Empty", "resources/subscribe": "Empty",
  "resources/unsubscribe": "Empty", "tasks/update": "Empty",
};
const NOTIFICATIONS = {
  "notifications/tools/list_changed": "ToolListChanged", "notifications/resources/updated": "ResourceUpdated",
  "notifications/resources/list_changed": "ResourceListChanged", "notifications/progress": "Progress",
  "notifications/tasks/status": "TaskStatus", "notifications/subscriptions/acknowledged": "SubscriptionsAcknowledged",
};
const throws = (schema, value) => { schema.parse(value); };

function isTask(entry) {
  const result = entry.message.result ?? {};
  return entry.method.startsWith("tasks/") || entry.method.startsWith("notifications/tasks") || "task" in result || result.resultType === "task";
}

// What the SDK has its users parse by.
function bySchemas(sdk) {
  return (entry) => {
    const { method, message } = entry;
    throws(sdk.JSONRPCMessageSchema, message);
    if ("error" in message) return true;
    if (!("result" in message)) throws(sdk[NOTIFICATIONS[method] + "NotificationSchema"], message);
    else if (message.result.resultType === "input_required") throws(tasks2.InputRequiredCallToolResultV2Schema, message.result);
    else if ("task" in message.result) throws(sdk.CreateTaskResultSchema, message.result);
    else throws(sdk[RESULTS[method] + "ResultSchema"], message.result);
    return true;
  };
}

// What the client of v2 itself puts between the wire and its user; it is exported under a short name only.
async function byCodec() {
  const folder = dirname(fileURLToPath(import.meta.resolve("@modelcontextprotocol/client")));
  const chunk = readdirSync(folder).find((name) => /^src-.*\.mjs$/.test(name));
  const all = await import(pathToFileURL(join(folder, chunk)));
  const codecOf = Object.values(all).find((one) => typeof one === "function" && one.name === "codecForVersion");
  return ({ era, method, message }) => {
    if ("error" in message) throws(v2.JSONRPCMessageSchema, message);
    if ("error" in message) return true;
    const codec = codecOf(era);
    let told;
    if (!("result" in message)) {
      told = codec.validateNotification(method, { method, params: message.params });
    } else {
      const decoded = codec.decodeResult(method, message.result);
      if (decoded.kind === "invalid") throw new Error(String(decoded.error));
      if (decoded.kind !== "complete") return throws(tasks2.InputRequiredCallToolResultV2Schema, message.result) ?? true;
      told = codec.validateResult(method, decoded.result);
    }
    if (!told.ok) throw new Error(told.message ?? told.reason);
    return true;
  };
}

function byTasks({ era, method, message }) {
  const body = message.result ?? message.params;
  if (era === MODERN) {
    if (method === "notifications/tasks") throws(tasks2.TaskStatusNotificationV2Schema, message);
    else if (method === "tools/call") throws(tasks2.CreateTaskResultV2Schema, body);
    else throws(tasks2[{ "tasks/get": "GetTaskResultV2Schema", "tasks/update": "UpdateTaskResultV2Schema", "tasks/cancel": "CancelTaskResultV2Schema" }[method]], body);
    if (body.status === "completed") throws(tasks2.CallToolResultV2Schema, body.result);
    return true;
  }
  if (method === "notifications/tasks/status") throws(tasks1.TaskStatusNotificationV1Schema, message);
  else throws(tasks1[{ "tools/call": "CreateTaskResultV1Schema", "tasks/get": "GetTaskResultV1Schema", "tasks/cancel": "CancelTaskResultV1Schema", "tasks/result": "CallToolResultV1Schema" }[method]], body);
  return true;
}

// Each member of the message's body once as something of another type.
function spoilt(entry) {
  const name = ["result", "params", "error"].find((one) => one in entry.message);
  const body = entry.message[name] ?? {};
  const wrong = (value) => (typeof value === "string" || (typeof value === "object" && value !== null) ? 7 : "x");
  const bodies = Object.keys(body).map((key) => ({ ...body, [key]: wrong(body[key]) }));
  if (!("_meta" in body)) bodies.push({ ...body, _meta: 7 });
  return bodies.map((one) => ({ ...entry, message: { ...entry.message, [name ?? "params"]: one } }));
}

const accepts = (judge, entry) => { try { return judge(entry); } catch { return false; } };

const entries = readFileSync(process.argv[2], "utf8").trim().split("\n").map((line) => JSON.parse(line));
const judges = [
  ["TypeScript SDK v1, schemas", bySchemas(v1), (one) => one.era !== MODERN],
  ["TypeScript SDK v2, schemas", bySchemas(v2), (one) => !(one.era === MODERN && isTask(one) && !("error" in one.message))],
  ["TypeScript SDK v2, client's codec", await byCodec(), (one) => "error" in one.message || !isTask(one)],
  ["TypeScript package of tasks", byTasks, (one) => isTask(one) && !("error" in one.message)],
];
let failed = false;
for (const [name, judge, concerns] of judges) {
  const mine = entries.filter(concerns);
  let variants = 0, refused = 0;
  for (const entry of mine) {
    try { judge(entry); } catch (error) {
      failed = true;
      console.log(`${name} refuses ${entry.era} ${entry.method}: ${JSON.stringify(entry.message)}\n${error.message}`);
    }
    const others = spoilt(entry);
    const left = others.filter((one) => !accepts(judge, one)).length;
    variants += others.length;
    refused += left;
    if (left === 0) { failed = true; console.log(`${name} takes every spoilt ${entry.era} ${entry.method}`); }
  }
  console.log(`${name}: ${mine.length} messages; of ${variants} spoilt ones ${refused} refused`);
}
process.exit(failed ? 1 : 0);
