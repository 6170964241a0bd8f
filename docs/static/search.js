// Finds the sections that have all words of the query; sections.js holds what they say.
"use strict";

const MOST = 40;
const BEFORE = 60;
const SHOWN = 240;

const query = (new URLSearchParams(location.search).get("q") ?? "").trim();
const words = query.toLowerCase().split(/\s+/).filter(Boolean);

// Where a line begins with the word: rows of tables begin with the key that they explain.
const lineStart = (text, word) => (text.startsWith(word) ? 0 : text.indexOf("\n" + word) + 1 || -1);

// Of learning.step_size, the pages of the scenario file explain step_size.
const explained = (address, said, word) => {
  const whole = lineStart(said, word);
  const isKey = word.includes(".") && address.startsWith("scenarios");
  return whole < 0 && isKey ? lineStart(said, word.split(".").pop()) : whole;
};

function scored([address, titles, text, last]) {
  const title = titles.toLowerCase().split(" > ").pop();
  const said = text.toLowerCase();
  let score = title === query.toLowerCase() ? 40 : 0;
  for (const word of words) {
    const times = said.split(word).length - 1;
    const begins = explained(address, said, word) >= 0;
    if (!times && !begins && !titles.toLowerCase().includes(word)) return null;
    const explains = address.startsWith("scenarios") ? 30 : 20;
    score += Math.min(times, 5) + (title.includes(word) ? 12 : 0) + (begins ? explains : 0);
  }
  return { address, titles, text, said, score: last ? score / 4 : score };
}

function excerpt({ address, text, said }) {
  const line = words.map((word) => explained(address, said, word)).find((at) => at >= 0);
  const first = line ?? Math.min(...words.map((word) => said.indexOf(word)).filter((at) => at >= 0));
  const from = line ?? Math.max(Number.isFinite(first) ? first - BEFORE : 0, 0);
  const cut = text.slice(from, from + SHOWN);
  const shown = document.createElement("p");
  shown.className = "context";
  shown.append(from > 0 && line === undefined ? "... " : "");
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  for (const part of cut.split(new RegExp(`(${escaped.join("|")})`, "gi"))) {
    if (words.includes(part.toLowerCase())) {
      const mark = document.createElement("mark");
      mark.textContent = part;
      shown.append(mark);
    } else shown.append(part);
  }
  shown.append(from + SHOWN < text.length ? " ..." : "");
  return shown;
}

function show() {
  document.querySelectorAll("input[name=q]").forEach((box) => (box.value = query));
  if (!words.length) return;
  const found = SECTIONS.map(scored).filter(Boolean);
  found.sort((one, other) => other.score - one.score);
  const list = document.createElement("ul");
  list.className = "search";
  for (const section of found.slice(0, MOST)) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = section.address;
    link.textContent = section.titles;
    item.append(link, excerpt(section));
    list.append(item);
  }
  const count = found.length === 1 ? "1 section has" : `${found.length} sections have`;
  const rest = found.length > MOST ? `; the first ${MOST} are shown` : "";
  document.getElementById("found").textContent = `${count} all words of "${query}"${rest}.`;
  document.getElementById("search-results").append(list);
}

show();
