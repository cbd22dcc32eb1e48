// A receiver of data webhooks as the platform's own client makes one, for tests/service/webhooks/test_data_webhooks.py.
//
// CLIENT_ID and PUBLIC_KEY configure the client, CERTIFICATE and KEY (files) and PORT (0: any) the server, CLIENT_MODULES
// says where the client is installed. The first line of stdout is the port; each further one a webhook: what the client's middleware
// says of it, by its raw body and by the parsed one that it writes again, and the webhook itself.
import { createRequire } from "node:module";
import { createServer } from "node:https";
import { readFileSync } from "node:fs";

const { CLIENT_ID, PUBLIC_KEY, CERTIFICATE, KEY, PORT, CLIENT_MODULES } = process.env;
const { HighLevel } = createRequire(`${CLIENT_MODULES}/`)("@gohighlevel/api-client");

const client = new HighLevel({
  clientId: CLIENT_ID,
  clientSecret: "none is needed to receive",
  webhookPublicKey: PUBLIC_KEY,
  logLevel: "none",
});
const middleware = client.webhooks.subscribe();

async function judged(request) {
  await middleware(request, {}, () => {});
  return { valid: request.isSignatureValid, skipped: request.skippedSignatureVerification };
}

const server = createServer({ cert: readFileSync(CERTIFICATE), key: readFileSync(KEY) }, async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const raw = Buffer.concat(chunks);
  const { method, url, headers } = request;
  const body = JSON.parse(raw);
  const byRaw = await judged({ method, url, headers, body: raw });
  const byParsed = await judged({ method, url, headers, body });
  console.log(JSON.stringify({ byRaw, byParsed, headers, body }));
  response.end();
});
server.listen(Number(PORT), "localhost", () => console.log(server.address().port));
