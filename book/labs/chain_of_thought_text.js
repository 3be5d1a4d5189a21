/* A text whose words can be exchanged, shaded by how much attention they get; and a field to type one in. */

import { isWord, readText, textOf } from "./chain_of_thought_scratchpad.js";
import { freshId, make } from "./controls.js";
import { percent } from "./views.js";

const SEEN = 0.005; // a share of attention is written from here on

/**
 * Lines of words; a word that could be another is a list to choose from.
 * @param {{label: string, onChange: function(string, number, string)}} options called with the line's name, the word's
 *   place in it, and the new word
 * @returns {{element: HTMLElement, update: function}} `update(lines)`: each has a `name` and `words`, and these `text`,
 *   `about` (what it is, for those who hear it), `choices` (or null), `share` of the attention, `begins` (a step) and
 *   `edited`
 */
export function wordLines({ label, onChange }) {
  const element = make("div", { class: "dtrs-lab-lines", role: "group", "aria-label": label });
  const lines = new Map(); // name -> {row, words}

  function lineOf(name) {
    if (!lines.has(name)) {
      const words = make("div", { class: "dtrs-lab-words" });
      const row = make("div", { class: "dtrs-lab-line" }, make("span", { class: "dtrs-lab-line-name" }, name), words);
      lines.set(name, { row, words, nodes: [] });
    }
    return lines.get(name);
  }

  function wordNode(name, at, { text, choices }) {
    const said = choices
      ? make("select", {}, ...choices.map((choice) => make("option", { value: choice }, choice)))
      : make("span", { class: "dtrs-lab-word-text" }, text);
    if (choices) said.addEventListener("change", () => onChange(name, at, said.value));
    const value = make("span", { class: "dtrs-lab-word-value" });
    const node = make("span", { class: "dtrs-lab-word" }, said, value);
    return { node, said, value, made: madeOf({ text, choices }) };
  }

  /** What a node was made for: it serves other words as long as this is the same. */
  function madeOf({ text, choices }) {
    return choices ? choices.join() : text;
  }

  /** Put a node in its place; the others keep theirs, and with it the focus. */
  function renew({ words, nodes }, at, fresh) {
    if (nodes[at]) nodes[at].node.replaceWith(fresh.node);
    else words.append(fresh.node);
    nodes[at] = fresh;
  }

  function update(wanted) {
    for (const [name, { row }] of lines) row.hidden = !wanted.some((line) => line.name === name);
    for (const { name, words } of wanted) {
      const line = lineOf(name);
      words.forEach((word, at) => {
        if (line.nodes[at]?.made !== madeOf(word)) renew(line, at, wordNode(name, at, word));
        draw(line.nodes[at], word);
      });
      for (const { node } of line.nodes.splice(words.length)) node.remove();
      if (!line.row.isConnected) element.append(line.row);
    }
  }

  function draw({ node, said, value }, { text, about, choices, share = 0, begins, edited }) {
    if (choices) {
      said.value = text;
      said.ariaLabel = about;
    }
    value.textContent = share >= SEEN ? percent(share) : "";
    node.style.setProperty("--shade", share.toFixed(3));
    node.dataset.marks = [begins && "begins", edited && "edited"].filter(Boolean).join(" ");
  }

  return { element, update };
}

/**
 * A field with the scratchpad, which is read as far as it has words of the language.
 * @param {object} lab
 * @param {function()} onInput
 */
export function typedText(lab, onInput) {
  const noteId = freshId();
  const area = make("textarea", { rows: 2, spellcheck: "false", autocapitalize: "off", "aria-describedby": noteId });
  const note = make("p", { class: "dtrs-lab-note", id: noteId, "aria-live": "polite" });
  const name = make("span", {}, "The scratchpad as text: write what you like in its words");
  const element = make("div", { class: "dtrs-lab-field dtrs-lab-text" }, make("label", {}, name, area), note);
  area.addEventListener("input", () => {
    lab.state.set({ text: area.value });
    onInput();
  });

  /** The scratchpad that counts: what the reader wrote, or the model's own words, which `write` gives. */
  async function read(write, longest) {
    const written = lab.state.get("text", null);
    const wanted = written ?? textOf(await write());
    if (area.value !== wanted) area.value = wanted;
    const all = readText(wanted);
    const strange = all.findIndex((word) => !isWord(word));
    const known = strange < 0 ? all : all.slice(0, strange);
    const words = known.slice(0, longest);
    if (known.length > longest)
      note.textContent =
        `So long a text is new to the model: it reads ${longest} words, and the lab leaves out the rest.`;
    else if (strange >= 0)
      note.textContent = `“${all[strange].slice(0, 20)}” is no word of its language. The text is read up to there.`;
    else note.textContent = `${words.length} words${written === null ? ", the model's own" : ""}`;
    return words;
  }

  return { element, read };
}
