// An object with an amount has a currency.
export default (schemas) => {
  const found = [];
  for (const [name, schema] of Object.entries(schemas)) {
    const fields = Object.keys(schema.properties ?? {});
    if (fields.some((each) => /(^|_)cents$/.test(each)) && !fields.includes("currency")) {
      found.push({
        message: `${name} has an amount and no currency`,
        path: ["components", "schemas", name, "properties"],
      });
    }
  }
  return found;
};
