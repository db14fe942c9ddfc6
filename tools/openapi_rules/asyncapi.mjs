// The official parser reads the AsyncAPI document: whatever it has to say is an error.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const path = process.argv[2];
const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"));
for (const each of diagnostics) {
  console.error(`${path} ${each.path.join(".")}: ${each.message} (${each.code})`);
}
if (document === undefined || diagnostics.length > 0) process.exit(1);
console.log(`asyncapi: ${document.allMessages().length} messages in ${document.allChannels().length} channels, 0 findings`);
