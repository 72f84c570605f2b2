// node verify.js BUNDLE [TARGET [PRECISION [LENGTH]]]: the goldens of a bundle in JavaScript, and what a wrong id does.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { load, similarity } from "./sestina.js";

const [folder, target, precision, length] = process.argv.slice(2);
const read = async (name) => new Uint8Array(await readFile(join(folder, name))).buffer;
const encoder = await load(read, { target, precision, length: length && Number(length) });
const result = await encoder.verify();
const [a, b, c] = await Promise.all(["A cat sits.", "The kitten is sitting.", "Stocks fell."].map(encoder.encode));
console.log(`${result.file}: ${result.goldens - result.failed.length} of ${result.goldens} goldens, worst error ${result.worst} (tolerance ${result.tolerance})`);
console.log(`a cat: kitten ${similarity(a, b).toFixed(4)}, stocks ${similarity(a, c).toFixed(4)}`);
if (result.failed.length) console.error(`failed: ${result.failed.join(", ")}`);
process.exitCode = result.failed.length ? 1 : 0;
