// Whatever answers items has cursor, limit and next_cursor, or says why it stays short.
export default (operation, _options, context) => {
  const schema = operation.responses?.["200"]?.content?.["application/json"]?.schema;
  if (schema?.properties?.items?.type !== "array" || operation["x-bounded"]) return [];
  const names = (operation.parameters ?? []).map((each) => each.name);
  const missing = ["cursor", "limit"].filter((each) => !names.includes(each));
  if (!("next_cursor" in schema.properties)) missing.push("next_cursor");
  if (missing.length === 0) return [];
  return [{ message: `${operation.operationId} is a list without ${missing.join(", ")}`, path: context.path }];
};
