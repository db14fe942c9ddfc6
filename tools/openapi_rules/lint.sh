#!/bin/sh
# Reads the generated documents with the tools that others read them with; every finding is an error.
set -eu
cd "$(dirname "$0")/../.."
rules=tools/openapi_rules
tools=build/node

if ! command -v npm >/dev/null || ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null; then
    echo "contracts-lint: needs node 20 or newer and npm; install them and try again" >&2
    exit 1
fi
if ! cmp -s "$rules/package-lock.json" "$tools/package-lock.json" || [ ! -e "$tools/.ready" ]; then
    mkdir -p "$tools"
    rm -f "$tools/.ready"
    cp "$rules/package.json" "$rules/package-lock.json" "$tools/"
    npm ci --prefix "$tools" --no-audit --no-fund --ignore-scripts --loglevel error
    touch "$tools/.ready"
fi
# functions and the parser find their packages beside the copies
rm -rf "$tools/rules"
mkdir "$tools/rules"
cp -R "$rules/functions" "$rules/spectral.yaml" "$rules/redocly.yaml" "$rules/asyncapi.mjs" "$tools/rules/"
echo '{"type": "module"}' >"$tools/rules/package.json"

status=0
set -- docs/openapi/*.json
"$tools/node_modules/.bin/spectral" lint "$@" --ruleset "$tools/rules/spectral.yaml" \
    --fail-severity hint --quiet || status=1
NO_UPDATE_NOTIFIER=1 REDOCLY_SUPPRESS_UPDATE_NOTICE=true "$tools/node_modules/.bin/redocly" lint "$@" \
    --config "$tools/rules/redocly.yaml" --format stylish 2>"$tools/redocly.txt" || status=1
[ "$status" -eq 0 ] || cat "$tools/redocly.txt" >&2
node "$tools/rules/asyncapi.mjs" docs/asyncapi.json || status=1
[ "$status" -ne 0 ] || echo "spectral and redocly: $# documents, 0 findings"
exit $status
