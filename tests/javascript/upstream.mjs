// An upstream on Express, for tests/service/gateway/test_real_upstreams.py: answers with what it read of the request.
//
// MODULES says where Express is installed. `strict` below /strict reads bodies as their types say, `/lenient` takes
// every body for JSON first. Says "listening on URL" when it does.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES}/`);
const express = require("express");
const bodyParser = require("body-parser");
const multer = require("multer");

const app = express();
app.set("query parser", process.env.QUERY_PARSER ?? "extended");

const saw = (request, response) => response.json({ query: request.query, body: request.body ?? null });
const strict = express.Router();
strict.use(bodyParser.json({ limit: "2mb", type: ["json", "+json"] }));
strict.use(bodyParser.urlencoded({ limit: "2mb", extended: true }));
strict.use(bodyParser.text({ limit: "2mb" }));
strict.use(multer().any());
strict.use(saw);

const lenient = express.Router();
lenient.use(bodyParser.json({ limit: "2mb", type: () => true, strict: false }));
lenient.use(saw);

app.use("/strict", strict);
app.use("/lenient", lenient);
// What can't be read is seen by no handler behind.
app.use((error, request, response, next) => response.json({ query: request.query, body: null, error: String(error) }));

const server = app.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
