// Drives the platform's own client, unmodified but for the base URL, for tests/service/sandbox/test_official_clients.py.
//
// DATA_API_URL, DATA_API_TOKEN and CLIENT_OPTIONS (JSON) say how it is made, CLIENT_MODULES where it is installed.
// Each line of stdin is a call, {"service", "operation", "given"}: a line of stdout says what it answered, {"result"}
// or {"error"}.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { DATA_API_URL, DATA_API_TOKEN, CLIENT_OPTIONS, CLIENT_MODULES } = process.env;
const { HighLevel, GHLError } = createRequire(`${CLIENT_MODULES}/`)("@gohighlevel/api-client");

HighLevel.BASE_URL = DATA_API_URL;
const client = new HighLevel({
  privateIntegrationToken: DATA_API_TOKEN,
  logLevel: "none",
  ...JSON.parse(CLIENT_OPTIONS),
});

async function answer({ service, operation, given }) {
  try {
    return { result: await client[service][operation](...given) };
  } catch (error) {
    if (!(error instanceof GHLError)) throw error;
    const { constructor, code, statusCode, message, response, rateLimit } = error;
    return { error: { class: constructor.name, code, statusCode, message, response, rateLimit } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
