// A server by the TypeScript SDK 2: every era. `change` changes what `add` says of itself.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// usage: node ts_v2_server.mjs DIRECTORY, which holds node_modules
const require = createRequire(process.argv[2] + '/');
const load = name => import(pathToFileURL(require.resolve(name)).href);
const { McpServer } = await load('@modelcontextprotocol/server');
const { serveStdio } = await load('@modelcontextprotocol/server/stdio');
const z = await load('zod');

const text = value => ({ content: [{ type: 'text', text: String(value) }] });
let calls = 0;

serveStdio(() => {
  const server = new McpServer({ name: 'typescript-sdk', version: '2' },
                               { capabilities: { tools: { listChanged: true } } });
  const add = server.registerTool(
    'add',
    { description: 'Adds two numbers.', inputSchema: z.object({ a: z.number().int(), b: z.number().int() }) },
    async ({ a, b }) => text(a + b));
  server.registerTool(
    'fail', { description: 'Fails.', inputSchema: z.object({ text: z.string() }) },
    async ({ text: why }) => ({ ...text(why), isError: true }));
  server.registerTool(
    'count', { description: 'How often it was called.', inputSchema: z.object({}) },
    async () => text(++calls));
  server.registerTool(
    'change', { description: 'Changes `add`, and says so.', inputSchema: z.object({}) },
    async () => { add.update({ description: 'Adds two numbers and tells everybody.' }); return text('changed'); });
  return server;
});
