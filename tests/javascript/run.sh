#!/bin/sh
# The embedded bundle in JavaScript, by examples/javascript under Node, in a copy below build/javascript. Where Node or
# the two npm packages cannot be had, one line says so and the exit code is 0.
set -eu
cd "$(dirname "$0")/../.."
bundle=$PWD/runtime/sestina/default.sestina
work=$PWD/${BUILD:-build}/javascript

skip() {
    echo "SKIPPED test-javascript: $1"
    exit 0
}

for tool in node npm; do
    command -v "$tool" >/dev/null || skip "$tool is not here"
done
[ -f "$bundle/manifest.json" ] || skip "the embedded bundle is not here: make default-bundle"
mkdir -p "$work"
cp examples/javascript/package.json examples/javascript/*.js "$work"
(cd "$work" && npm install --ignore-scripts --no-audit --no-fund --silent >npm.log 2>&1) || skip "npm cannot install: see $work/npm.log"

node "$work/verify.js" "$bundle"

# Negative controls: without the patterns of `exact` other ids come out; a file that changed is not opened.
cd "$work"
sed 's/step(tokenizer.pre_tokenizer)/tokenizer.pre_tokenizer/' sestina.js >plain.js
sed 's/sestina\.js/plain.js/' verify.js >verify-plain.js
if node verify-plain.js "$bundle" >plain.log 2>&1 || ! grep -q '^failed: ' plain.log; then
    echo "FAILED: another tokenization passes"
    exit 1
fi
rm -rf altered && cp -r "$bundle" altered && printf ' ' >>altered/golden.npy
if node verify.js altered >altered.log 2>&1 || ! grep -q 'golden.npy is damaged' altered.log; then
    echo "FAILED: an altered file passes"
    exit 1
fi
rm -r altered
echo "both negative controls fail, as they must"
