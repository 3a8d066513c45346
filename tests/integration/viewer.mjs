/**
 * A viewer by the SDK, under Node: says what it sees, a line of JSON for each event, and does what it is told.
 *
 *     node viewer.mjs FOLDER ORIGIN ROOM TOKEN        FOLDER: where siyu.js is
 *
 * Standard input takes {"n": 1, "cmd": "coupon.claim", "fields": {…}}; what becomes of it is one more line, {"n": 1, …}.
 */

import { createInterface } from "node:readline";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, origin, room, token] = process.argv.slice(2);
const { SiyuHub, browserPlatform } = await import(pathToFileURL(join(folder, "siyu.js")));
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
// Node has sockets and requests as browsers do, but no page that is looked at.
const hub = new SiyuHub({ room, token, platform: { ...browserPlatform(origin), onWake: () => () => undefined } });
hub.on("*", (event) => tell({ event }));
hub.on("state", ({ state, code, retryInMs }) => tell({ state, code, retryInMs, polled: hub.polled, ms: Date.now() }));
hub.on("protocol-error", (error) => tell({ broken: String(error) }));
hub.connect();
for await (const line of createInterface({ input: process.stdin })) {
  const { n, cmd, fields } = JSON.parse(line);
  hub.command(cmd, fields, 60_000).then(
    (answer) => tell({ n, answer }),
    (error) => tell({ n, refused: error.code }),
  );
}
process.exit(0);
