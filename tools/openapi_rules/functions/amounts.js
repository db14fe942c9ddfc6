// Every property whose name ends with cents is an integer of 64 bits, or null.
export default (schemas) => {
  const found = [];
  for (const [name, schema] of Object.entries(schemas)) {
    for (const [field, part] of Object.entries(schema.properties ?? {})) {
      if (!/(^|_)cents$/.test(field)) continue;
      const kinds = (part.anyOf ?? [part]).filter((each) => each.type !== "null");
      if (kinds.some((each) => each.type !== "integer" || each.format !== "int64")) {
        found.push({
          message: `${name}.${field} is an amount and not an int64`,
          path: ["components", "schemas", name, "properties", field],
        });
      }
    }
  }
  return found;
};
