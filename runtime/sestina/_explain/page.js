
"use strict";
(async () => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const one = (selector, inside = document) => inside.querySelector(selector);
  const make = (tag, text = "", name = "") =>
    Object.assign(document.createElement(tag), { textContent: text, className: name });
  const percent = (weight) => `${(100 * weight).toFixed(weight < 0.0995 ? 1 : 0)}%`;

  const maps = all(".map");
  if (!maps.length || !window.DecompressionStream) return; // the page stays as it is
  const heads = Number(one(".grid").dataset.heads);
  const words = all("section > .strip bdi").map((word) => word.textContent);
  const count = words.length;
  const LABELLED = 32; // tokens at most, for a map's labels to be readable on a phone
  const MOST = 5; // tokens that are listed with their weights

  // A map's PNG is its data: a line of 8-bit square roots for each token, after a byte for the line's filter.
  const read = async (map) => {
    const bytes = Uint8Array.from(atob(one("img", map).src.split(",")[1]), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const parts = [];
    for (let at = 8; at < bytes.length; at += 12 + view.getUint32(at)) {
      const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
      if (kind === "IDAT") parts.push(bytes.subarray(at + 8, at + 8 + view.getUint32(at)));
    }
    const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };
  const levels = await Promise.all(maps.map(read));
  const strongest = maps.map((map) => Number(map.dataset.most));
  const weight = (map, from, to) => strongest[map] * (levels[map][from * (count + 1) + to + 1] / 255) ** 2;

  const wrap = (tag, content) => {
    const element = make(tag);
    element.append(content);
    return element;
  };

  // What is looked at: a map, a token, the way round; and what the pointer is over, for as long as it is.
  const parts = all("section > .strip li");
  const added = parts.map((part) => part.classList.contains("added"));
  const share = (at) => (added[at] ? -1 : Number(parts[at].style.getPropertyValue("--part")));
  const largest = parts.reduce((best, _, at) => (share(at) > share(best) ? at : best), 0);
  const state = { map: 0, token: largest, takes: true };
  let over = null; // { token } or { from, to }

  const weights = (map, token) =>
    words.map((_, other) => (state.takes ? weight(map, token, other) : weight(map, other, token)));
  const ranked = (row) => row.map((_, at) => at).sort((a, b) => row[b] - row[a]);
  const sentence = (map, from, to) => {
    const said = document.createDocumentFragment();
    const share = percent(weight(map, from, to));
    said.append(make("bdi", words[from]), ` takes ${share} from `, make("bdi", words[to]));
    return said;
  };

  const detail = one(".detail");
  const figure = one("figure");
  const large = one(".large");
  const caption = one("figcaption");
  const labels = [one(".rows"), one(".columns")].map((side) => {
    if (count <= LABELLED) side.append(...words.map((word) => wrap("span", make("bdi", word))));
    return all("span", side);
  });
  const chips = words.map((word, at) => {
    const chip = wrap("button", make("bdi", word));
    chip.type = "button";
    chip.addEventListener("pointerenter", () => show({ token: at }));
    chip.addEventListener("click", () => choose({ token: at }));
    one(".words .strip").append(wrap("li", chip));
    return chip;
  });
  const cells = maps.map((_, at) => {
    const cell = wrap("button", make("bdi"));
    cell.type = "button";
    cell.append(make("small"));
    cell.addEventListener("click", () => choose({ map: at }));
    return cell;
  });
  const table = one(".heads");
  const aside = one(".words input[type=checkbox]");
  const some = added.includes(true) && added.includes(false);
  aside.parentNode.hidden = !some;
  const line = (name, content) => {
    const row = wrap("tr", make("th", name));
    row.append(...content.map((item) => wrap("td", item)));
    table.append(row);
  };
  line("", Array.from({ length: heads }, (_, head) => String(head + 1)));
  for (let at = 0; at < maps.length; at += heads) line(String(at / heads + 1), cells.slice(at, at + heads));

  const place = (mark, at, side, size) => {
    mark.hidden = at === null;
    mark.style[side] = `${(100 * at) / count}%`;
    mark.style[size] = `${100 / count}%`;
  };

  const counts = (token) => !(some && aside.checked && added[token]);
  const draw = () => {
    const { map } = state;
    const token = over?.token ?? (over ? (state.takes ? over.from : over.to) : state.token);
    const [layer, head] = [Math.floor(map / heads), map % heads];
    const row = weights(map, token);
    const order = ranked(row);
    const top = row[order[0]] || 1;

    const name = make("code", `attention[${layer}][${head}]`);
    one("h3", detail).replaceChildren(`Layer ${layer + 1}, head ${head + 1}`, name);
    const image = one("img", maps[map]).src;
    if (one("img", large).src !== image) one("img", large).src = image;
    maps.forEach((each, at) => each.setAttribute("aria-pressed", String(at === map)));
    const from = over?.from ?? (state.takes ? token : null);
    const to = over?.to ?? (state.takes ? null : token);
    place(one(".row", large), from, "top", "height");
    place(one(".column", large), to, "left", "width");
    labels[0].forEach((label, at) => label.classList.toggle("here", at === from));
    labels[1].forEach((label, at) => label.classList.toggle("here", at === to));
    const most = state.takes ? ", more than from any other" : ", more than any other does";
    const rest = over?.to === undefined ? most : "";
    caption.replaceChildren(sentence(map, from ?? order[0], to ?? order[0]), rest);

    all(".words p bdi").forEach((name) => { name.textContent = words[token]; });
    chips.forEach((chip, at) => {
      chip.style.setProperty("--weight", Math.sqrt(row[at] / top).toFixed(3));
      chip.classList.toggle("here", at === token);
      chip.title = percent(row[at]);
    });
    one(".most").replaceChildren(...order.slice(0, MOST).map((at) => {
      const bar = make("i");
      bar.style.setProperty("--weight", (row[at] / top).toFixed(3));
      const item = wrap("li", make("bdi", words[at]));
      item.append(make("span", percent(row[at])), bar);
      return item;
    }));
    cells.forEach((cell, at) => {
      const there = weights(at, token);
      const beats = (other, high) => counts(other) && !(there[other] <= there[high]);
      const best = there.reduce((high, _, other) => (beats(other, high) ? other : high), -1);
      one("bdi", cell).textContent = words[best];
      one("small", cell).textContent = percent(there[best]);
      cell.style.setProperty("--weight", Math.min(1, there[best]).toFixed(3));
      cell.setAttribute("aria-pressed", String(at === map));
    });
  };
  const show = (what) => { over = what; draw(); };
  const choose = (what) => { Object.assign(state, what); over = null; draw(); };

  maps.forEach((map, at) => {
    map.addEventListener("click", () => choose({ map: at }));
    map.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -heads, ArrowDown: heads }[event.key];
      const next = maps[at + step];
      if (!next) return;
      event.preventDefault();
      next.focus();
      choose({ map: at + step });
    });
  });
  const pair = (event) => {
    const box = large.getBoundingClientRect();
    const index = (value) => Math.min(count - 1, Math.max(0, Math.floor(value * count)));
    const [down, across] = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
    return { from: index(down), to: index(across) };
  };
  large.addEventListener("pointermove", (event) => show(pair(event)));
  large.addEventListener("click", (event) => {
    const { from, to } = pair(event);
    state.token = state.takes ? from : to;
    show({ from, to });
  });
  large.addEventListener("pointerleave", () => show(null));
  one(".words .strip").addEventListener("pointerleave", () => show(null));
  all(".words input").forEach((input) => {
    input.addEventListener("change", () => choose({ takes: one(".words input").checked }));
  });
  new ResizeObserver(([{ contentRect }]) => { // labels take about a quarter of the width
    figure.style.fontSize = `${Math.min(13, (0.7 * contentRect.width) / count)}px`;
  }).observe(figure);

  all(".script").forEach((part) => { part.hidden = false; });
  document.body.classList.add("ready");
  draw();
})();
