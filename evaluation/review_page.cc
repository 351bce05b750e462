#include "evaluation/review_page.h"

namespace sotto::evaluation {

const std::string_view kReviewHtml = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Review</title>
<link rel="stylesheet" href="/review.css">
<link rel="icon" href="data:,">
</head>
<body>
<header>
  <h1 id="title">Review</h1>
  <p id="who"></p>
  <div id="progress" role="progressbar" aria-label="Items rated" aria-valuemin="0"><span></span></div>
</header>
<p id="message" role="status" aria-live="polite"></p>
<main id="login" hidden>
  <form>
    <label for="token">Your personal code</label>
    <input id="token" type="password" autocomplete="off" spellcheck="false" required>
    <button class="primary">Begin</button>
  </form>
  <p class="hint">The code is in the link that you were sent.</p>
</main>
<main id="finished" hidden>
  <h2>Thank you, all items are rated.</h2>
  <p>Your ratings are saved. You can still look at them and change them.</p>
  <button id="look-back">Back to the last item</button>
</main>
<main id="item" hidden>
  <details id="how"><summary>How to rate</summary><p id="instructions"></p>
    <p><kbd>A</kbd> left is better, <kbd>S</kbd> about equal, <kbd>D</kbd> right is better. <kbd>1</kbd> <kbd>2</kbd> ... give points in the marked row
    and mark the next. <kbd>C</kbd> comment, <kbd>Enter</kbd> save and go on, <kbd>B</kbd> back, <kbd>N</kbd> later. Everything can be reached with
    <kbd>Tab</kbd> and the arrow keys, too.</p></details>
  <section class="card"><h2>Question</h2><pre id="prompt"></pre></section>
  <div class="pair">
    <section class="card left"><h2>Left answer</h2><pre id="left"></pre></section>
    <section class="card right"><h2>Right answer</h2><pre id="right"></pre></section>
  </div>
  <form id="rating">
    <fieldset id="preference"><legend>Which answer is better?</legend><div class="choices"></div></fieldset>
    <div id="dimensions"></div>
    <label for="comment">Comment <span class="hint">(not needed)</span></label>
    <textarea id="comment" rows="2" maxlength="1000"></textarea>
    <div class="buttons">
      <button type="button" id="back">Back</button>
      <button type="button" id="later">Later</button>
      <button class="primary" id="save">Save and go on</button>
    </div>
  </form>
</main>
<script src="/review.js"></script>
</body>
</html>
)html";

const std::string_view kReviewCss = R"css(:root {
  --ink: #1c2330; --soft: #5a6475; --line: #d8dde6; --paper: #f5f6f9; --card: #fff; --accent: #1f5fbf; --on-accent: #fff; --left: #8a5a00; --right: #00696b;
  color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --soft: #a3adbd; --line: #3a4251; --paper: #14181f; --card: #1d232d; --accent: #7db0ff; --on-accent: #10151d; --left: #f0b95a; --right: #5fd0d0; }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0 auto; max-width: 70rem; padding: 0 1rem 3rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 1rem; padding: 1rem 0 .5rem; }
h1 { font-size: 1.25rem; margin: 0; flex: 1 1 auto; }
h2 { font-size: .8rem; margin: 0 0 .5rem; color: var(--soft); text-transform: uppercase; letter-spacing: .06em; }
#who { margin: 0; color: var(--soft); font-variant-numeric: tabular-nums; }
#progress { flex: 1 0 100%; height: .375rem; background: var(--line); border-radius: 1rem; overflow: hidden; margin-top: .5rem; }
#progress span { display: block; height: 100%; width: 0; background: var(--accent); transition: width .2s; }
#message { min-height: 1.5rem; margin: 0; color: var(--soft); }
#message.error { color: #c22; font-weight: 600; }
.card, fieldset, #login form { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem; margin: 0 0 1rem; }
pre { margin: 0; font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1rem; align-items: stretch; }
.left { border-top: .25rem solid var(--left); } .left h2 { color: var(--left); }
.right { border-top: .25rem solid var(--right); } .right h2 { color: var(--right); }
fieldset { min-width: 0; } legend { font-weight: 600; padding: 0 .375rem; }
.choices { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: .5rem; }
.choices label { position: relative; display: flex; align-items: center; justify-content: center; text-align: center; min-height: 2.75rem; padding: .375rem .5rem; border: 1px solid var(--line); border-radius: .5rem; cursor: pointer; line-height: 1.25; }
.choices input { position: absolute; opacity: 0; inset: 0; margin: 0; cursor: pointer; }
.choices label:hover { border-color: var(--accent); }
.choices label:has(:checked) { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
.choices label:has(:focus-visible), button:focus-visible, textarea:focus-visible, input:focus-visible, summary:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.points { border: 0; padding: 0; margin: .875rem 0 0; border-radius: .5rem; display: grid; grid-template-columns: 4rem 1fr; align-items: center; gap: .5rem; }
.points > span { font-weight: 600; } .points.of-left > span { color: var(--left); } .points.of-right > span { color: var(--right); }
.points.active { outline: 2px solid var(--accent); outline-offset: 4px; }
.anchors { margin: .25rem 0 0; padding: 0; list-style: none; color: var(--soft); font-size: .875rem; display: flex; flex-wrap: wrap; gap: 0 1rem; }
textarea, input[type=password] { width: 100%; font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem; margin: .25rem 0 1rem; }
button { font: inherit; min-height: 2.75rem; padding: 0 1.25rem; border-radius: .5rem; border: 1px solid var(--line); background: var(--card); color: inherit; cursor: pointer; }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600; }
.buttons { display: flex; gap: .5rem; } .buttons .primary { margin-left: auto; }
.hint, summary { color: var(--soft); } details { margin-bottom: 1rem; } kbd { border: 1px solid var(--line); border-radius: .25rem; padding: 0 .3rem; font: .85em ui-monospace, monospace; }
#finished h2 { font-size: 1.25rem; color: inherit; text-transform: none; letter-spacing: 0; } #instructions { white-space: pre-wrap; } #login form { max-width: 26rem; }
@media (max-width: 44rem) {
  .pair { grid-template-columns: 1fr; }
  .points { grid-template-columns: 1fr; gap: .25rem; }
  button { padding: 0 .75rem; white-space: nowrap; }
  .buttons { position: sticky; bottom: 0; background: var(--paper); padding: .5rem 0; }
}
)css";

const std::string_view kReviewScript = R"js("use strict";
const $ = id => document.getElementById(id);
let csrf = "", set = null, view = null, rows = [], active = 0, shown = 0, spent = 0;

function element(name, text, parent, className) {
  const e = document.createElement(name);
  if (text !== undefined && text !== null) e.textContent = text;
  if (className) e.className = className;
  if (parent) parent.append(e);
  return e;
}

function say(text, isError) {
  $("message").textContent = text;
  $("message").className = isError ? "error" : "";
}

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json", "X-Csrf": csrf }, body: JSON.stringify(body) };
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { status: response.status });
  return answer;
}

function show(id) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== id;
}

// The time that the page was looked at.
function clock() {
  const now = performance.now();
  if (shown) spent += (now - shown) / 1000;
  shown = document.hidden ? 0 : now;
  return spent;
}
document.addEventListener("visibilitychange", clock);

function choices(parent, name, labels, onChange) {
  labels.forEach((text, value) => {
    const label = element("label", null, parent);
    const input = element("input", null, label);
    Object.assign(input, { type: "radio", name, value });
    input.addEventListener("change", onChange);
    element("span", text.label ?? text, label);
    if (text.title) label.title = text.title;
    if (text.title) input.setAttribute("aria-label", text.label + ": " + text.title);
  });
}

function buildForm() {
  $("title").textContent = document.title = set.title;
  $("instructions").textContent = set.instructions;
  choices($("preference").querySelector(".choices"), "preference", ["Left", "About equal", "Right"], () => mark(0));
  set.dimensions.forEach((dimension, d) => {
    const field = element("fieldset", null, $("dimensions"));
    element("legend", dimension.question, field);
    const anchors = element("ol", null, field, "anchors");
    dimension.anchors.forEach((text, i) => element("li", (i + 1) + " " + text, anchors));
    for (const side of ["left", "right"]) {
      const row = element("div", null, field, "points of-" + side);
      row.setAttribute("role", "radiogroup");
      row.setAttribute("aria-label", dimension.question + " " + side + " answer");
      element("span", side === "left" ? "Left" : "Right", row);
      const at = rows.length;
      choices(element("div", null, row, "choices"), "d" + d + side, dimension.anchors.map((title, i) => ({ label: String(i + 1), title })), () => mark(at + 1));
      rows.push({ row, name: "d" + d + side, dimension: d, points: dimension.anchors.length });
    }
  });
}

const radio = (name, value) => document.querySelector(`input[name="${name}"][value="${value}"]`);
const chosen = name => { const e = document.querySelector(`input[name="${name}"]:checked`); return e ? Number(e.value) : null; };

function mark(at) {
  active = Math.min(at, rows.length - 1);
  rows.forEach((r, i) => r.row.classList.toggle("active", i === active));
}

function showView(answer) {
  view = answer.item;
  $("who").textContent = answer.rater + " · " + answer.rated + " of " + answer.total + " rated";
  $("progress").setAttribute("aria-valuemax", answer.total);
  $("progress").setAttribute("aria-valuenow", answer.rated);
  $("progress").firstElementChild.style.width = 100 * answer.rated / answer.total + "%";
  if (!view) return show("finished");
  for (const id of ["prompt", "left", "right"]) $(id).textContent = view[id];
  $("rating").reset();
  spent = view.rating ? view.rating.seconds : 0;
  shown = 0;
  clock();
  if (view.rating) {
    radio("preference", ["left", "tie", "right"].indexOf(view.rating.preference)).checked = true;
    set.dimensions.forEach((dimension, d) => view.rating.points[dimension.name].forEach((p, i) => radio("d" + d + ["left", "right"][i], p).checked = true));
    $("comment").value = view.rating.comment;
  }
  mark(0);
  $("back").disabled = view.place === 0;
  show("item");
  scrollTo(0, 0);
}

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (error.status === 401) { show("login"); $("token").focus(); }
    say(error.status === undefined ? "The server cannot be reached; nothing is lost, try again." : error.message, true);
  }
}

const go = place => attempt(async () => { showView(await ask("/api/item?place=" + place)); say(""); });
const next = () => attempt(async () => { showView(await ask("/api/next")); });

const save = () => attempt(async () => {
  const preference = chosen("preference");
  if (preference === null) { say("Choose which answer is better first.", true); radio("preference", 1).focus(); return; }
  const points = {};
  for (const r of rows) {
    const value = chosen(r.name);
    if (value === null) { say("A row of points is still empty.", true); mark(rows.indexOf(r)); radio(r.name, 0).focus(); return; }
    const name = set.dimensions[r.dimension].name;
    points[name] = (points[name] ?? []).concat(value);
  }
  await ask("/api/rate", { id: view.id, preference: ["left", "tie", "right"][preference], points, comment: $("comment").value, seconds: clock() });
  say("Saved.");
  document.activeElement.blur();
  await next();
});

async function begin(token) {
  const answer = await ask("/api/login", { token });
  history.replaceState(null, "", "/");
  await enter(answer);
}

async function enter(answer) {
  csrf = answer.csrf;
  if (!set) { set = answer.set; buildForm(); }
  say("");
  await next();
}

$("login").querySelector("form").addEventListener("submit", e => { e.preventDefault(); attempt(() => begin($("token").value.trim())); });
$("rating").addEventListener("submit", e => { e.preventDefault(); save(); });
$("back").addEventListener("click", () => go(view.place - 1));
$("later").addEventListener("click", () => attempt(async () => { showView(await ask("/api/next?after=" + view.place)); say("Put off; it comes back at the end."); }));
$("look-back").addEventListener("click", () => attempt(async () => { showView(await ask("/api/item?place=last")); }));

document.addEventListener("keydown", e => {
  if ($("item").hidden || e.ctrlKey || e.altKey || e.metaKey) return;
  if (e.target.id === "comment") { if (e.key === "Escape") e.target.blur(); return; }
  const key = e.key.toLowerCase();
  const side = ["a", "s", "d"].indexOf(key);
  if (side >= 0) { radio("preference", side).checked = true; mark(0); }
  else if (/^[1-9]$/.test(key) && rows.length && Number(key) <= rows[active].points) { radio(rows[active].name, Number(key) - 1).checked = true; mark(active + 1); }
  else if (key === "c") $("comment").focus();
  else if (key === "b") $("back").click();
  else if (key === "n") $("later").click();
  else if (key === "enter" && e.target.tagName !== "BUTTON" && e.target.tagName !== "SUMMARY") save();
  else return;
  e.preventDefault();
});

attempt(async () => {
  const token = location.hash.slice(1);
  if (token) return begin(token);
  await enter(await ask("/api/session"));
});
)js";

}  // namespace sotto::evaluation
