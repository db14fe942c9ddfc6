// Refusals are problems; 422, 500 and 503 may always come. 304 is no refusal and has no body.
const isRefusal = (code) => !code.startsWith("2") && code !== "304";

export default (operation, _options, context) => {
  const found = [];
  const responses = operation.responses ?? {};
  for (const code of ["422", "500", "503"].filter((each) => !(each in responses))) {
    found.push({ message: `${operation.operationId} does not declare ${code}`, path: [...context.path, "responses"] });
  }
  for (const [code, response] of Object.entries(responses)) {
    const media = Object.keys(response.content ?? {});
    if (isRefusal(code) && (media.length !== 1 || media[0] !== "application/problem+json")) {
      found.push({
        message: `${operation.operationId} answers ${code} with ${media.join(", ") || "nothing"}`,
        path: [...context.path, "responses", code],
      });
    }
  }
  return found;
};
