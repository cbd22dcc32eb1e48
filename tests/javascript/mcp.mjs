// Drives an MCP server over stdio with the protocol's own client, for tests/service/sandbox/test_mcp_servers.py.
//
// SERVER_SCRIPT is the server, run with the environment of this process; CLIENT_MODULES is where both are installed.
// Each line of stdin is a call, {"tool", "given"}, or {} for the names of all tools: a line of stdout says what it
// answered, {"result"} or {"error"}.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { SERVER_SCRIPT, CLIENT_MODULES } = process.env;
const require = createRequire(`${CLIENT_MODULES}/`);
const load = (name) => import(pathToFileURL(require.resolve(`@modelcontextprotocol/sdk/client/${name}.js`)));
const { Client } = await load("index");
const { StdioClientTransport } = await load("stdio");

const client = new Client({ name: "tests", version: "1.0.0" });
const server = { command: process.execPath, args: [SERVER_SCRIPT], env: process.env, stderr: "ignore" };
await client.connect(new StdioClientTransport(server));

async function answer({ tool, given }) {
  if (!tool) return { result: (await client.listTools()).tools.map(({ name }) => name) };
  try {
    const { content } = await client.callTool({ name: tool, arguments: given });
    return { result: JSON.parse(content[0].text) };
  } catch ({ message }) {
    return { error: message };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
await client.close();
