// A Sestina bundle in JavaScript: the same file in a browser and in Node. `read(name)` gives a file of the bundle as
// an ArrayBuffer; where it comes from (fetch, disk, cache) is the caller's affair. The format is in docs/format.md.
import { Tokenizer } from "@huggingface/tokenizers";
import * as ort from "onnxruntime-web";

const text = (bytes) => new TextDecoder().decode(bytes);

/**
 * Open a bundle.
 * @param {(name: string) => Promise<ArrayBuffer>} read
 * @param {{target?: string, precision?: string, providers?: string[], length?: number}} options which variant; what
 *   runs it ("wasm", "webgpu"); of a static graph the one length that texts are padded and cut to
 */
export async function load(read, { target = "cpu", precision, providers = ["wasm"], length } = {}) {
  const manifest = JSON.parse(text(await read("manifest.json")));
  if (manifest.format !== "sestina" || manifest.format_version > 1) throw new Error("not a bundle that this reads");
  const fits = (each) => each.target === target && (!precision || each.precision === precision);
  const variant = manifest.variants.find(fits);
  if (!variant) throw new Error(`no variant for ${target} ${precision ?? ""}`);
  const graph = await checked(read, variant);
  const file = Object.fromEntries(manifest.files.map((entry) => [entry.file, entry]));
  const tokenizer = new Tokenizer(exact(JSON.parse(text(await checked(read, file["tokenizer.json"])))), {});
  const fixed = variant.shapes === "static" ? (length ?? variant.buckets.at(-1)) : null;
  const session = await ort.InferenceSession.create(graph, {
    executionProviders: providers,
    ...(fixed && { freeDimensionOverrides: { batch: 1, length: fixed } }),
  });
  const { max_tokens: limit, dimensions } = manifest.contract;
  const most = Math.min(limit, fixed ?? limit);

  /** Token ids of a text, special tokens included, cut as the contract says. */
  const tokenize = (value) => cut(tokenizer, value, most);

  /** The vector of a text: Float32Array of `dimensions`. */
  async function encode(value) {
    const ids = tokenize(value);
    if (!ids.length) return new Float32Array(dimensions); // a text without tokens has the zero vector
    const feeds = fixed ? padded(ids, fixed) : whole(ids);
    const { sentence_embedding: vector } = await session.run(feeds, ["sentence_embedding"]);
    return vector.data;
  }

  /** The bundle's goldens here: how many were compared, names of those that failed, worst error. */
  async function verify() {
    const { goldens } = JSON.parse(text(await checked(read, file["golden.json"])));
    const vectors = npy(await checked(read, file["golden.npy"]));
    const failed = [];
    let compared = 0;
    let worst = 0;
    for (const [at, golden] of goldens.entries()) {
      if (golden.ids.length > most) continue; // longer than the length that the graph was fixed at
      compared++;
      const vector = await encode(golden.text);
      const error = vector.reduce((most, x, i) => Math.max(most, Math.abs(x - vectors[at * dimensions + i])), 0);
      const same = JSON.stringify(tokenize(golden.text)) === JSON.stringify(golden.ids);
      if (!same || !(error <= variant.parity.tolerance)) failed.push(golden.name);
      worst = Math.max(worst, error);
    }
    return { file: variant.file, goldens: compared, failed, worst, tolerance: variant.parity.tolerance };
  }

  return { manifest, encode, tokenize, verify };
}

/** Cosine of two vectors. */
export function similarity(a, b) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b) || 1);
}

async function checked(read, { file, sha256 }) {
  const bytes = await read(file);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)); // in browsers: https or localhost
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== sha256) throw new Error(`${file} is damaged: its SHA-256 is not the manifest's`);
  return bytes;
}

// tokenizers.js 0.2 splits runs of punctuation as one piece, whatever `behavior` says, and at JavaScript's idea of
// white space, which lacks U+0085 and has U+FEFF. These patterns say what the tokenizers library does.
const SPACE = "[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const PUNCTUATION = "[\\p{P}\\u0021-\\u002f\\u003a-\\u0040\\u005b-\\u0060\\u007b-\\u007e]";

function exact(tokenizer) {
  const step = (each) => {
    if (each?.type === "Sequence") return { ...each, pretokenizers: each.pretokenizers.map(step) };
    if (each?.type === "WhitespaceSplit") return split(SPACE, "Removed");
    if (each?.type === "Punctuation" && each.behavior === "Isolated") return split(PUNCTUATION, "Isolated");
    return each;
  };
  return { ...tokenizer, pre_tokenizer: step(tokenizer.pre_tokenizer) };
}

const split = (pattern, behavior) => ({ type: "Split", pattern: { Regex: pattern }, behavior, invert: false });

// tokenizers.js does not truncate. The special tokens stay, the text's own are cut on the right.
function cut(tokenizer, value, most) {
  const { ids } = tokenizer.encode(value);
  if (ids.length <= most) return ids;
  const own = tokenizer.encode(value, { add_special_tokens: false }).ids;
  const special = ids.length - own.length;
  let before = 0;
  while (before < special && !own.every((id, i) => id === ids[before + i])) before++;
  return [...ids.slice(0, before), ...own.slice(0, most - special), ...ids.slice(before + own.length)];
}

// A dynamic graph: int64 ids of one text, no mask.
function whole(ids) {
  return { input_ids: new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]) };
}

// A static graph: int32 ids and mask, padded to its one length.
function padded(ids, length) {
  const tensor = (values) => new ort.Tensor("int32", Int32Array.from({ length }, (_, i) => values(i)), [1, length]);
  return { input_ids: tensor((i) => ids[i] ?? 0), attention_mask: tensor((i) => (i < ids.length ? 1 : 0)) };
}

// golden.npy: little-endian float32 behind NumPy's header of format 1.0.
function npy(bytes) {
  const header = new DataView(bytes).getUint16(8, true);
  return new Float32Array(bytes.slice(10 + header));
}
