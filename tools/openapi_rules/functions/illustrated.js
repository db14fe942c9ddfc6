// A body that one sends or gets has an example.
export default (operation, _options, context) => {
  const found = [];
  const bodies = [["requestBody", operation.requestBody]];
  for (const [code, response] of Object.entries(operation.responses ?? {})) {
    bodies.push([`responses ${code}`, response]);
  }
  for (const [where, body] of bodies) {
    for (const [media, content] of Object.entries(body?.content ?? {})) {
      if (media !== "application/pdf" && !content.examples && !content.example) {
        found.push({ message: `${operation.operationId} has no example in ${where}`, path: context.path });
      }
    }
  }
  return found;
};
