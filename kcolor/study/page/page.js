// The page of a study, from consent to thanks. What was answered is on the
// server's disk before the next pair is shown.

"use strict";

const facts = JSON.parse(document.body.dataset.facts);
const KEY = `kcolor-study-${facts.study}`;
const CROSS = 500; // ms that the cross is seen
const SIDES = ["left", "right"];
const KEYS = {
  ArrowLeft: "left", ArrowUp: "left", f: "left", F: "left",
  ArrowRight: "right", ArrowDown: "right", j: "right", J: "right",
};

const one = (selector, of = document) => of.querySelector(selector);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const frame = () => new Promise(requestAnimationFrame);
const event = (target, name) => new Promise((done) =>
  target.addEventListener(name, done, { once: true }));

const sides = Object.fromEntries(SIDES.map((name) => [name, one(`#${name}`)]));
const isUpright = matchMedia("(orientation: portrait)");
const photos = new Map(); // pair -> its picture, encoded

// === Steps ===

function show(id) {
  for (const step of document.querySelectorAll("main > section")) {
    step.hidden = step.id !== id;
  }
  const step = one(`#${id}`);
  (one("h1", step) ?? step).focus();
  return step;
}

async function pass(id) {
  await event(one(".go", show(id)), "click");
}

// === The server ===

let token;
try {
  // A game leaves alone what the study itself has put there.
  token = facts.game ? null : localStorage.getItem(KEY);
} catch {
  // No storage: it goes on until the page is closed.
}
if (!/^[\w-]+$/.test(token ?? "")) token = null;

function keep(value) {
  token = value;
  if (facts.game) return;
  try {
    if (value) localStorage.setItem(KEY, value);
    else localStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}

// Why the server refuses what it is asked.
const NOBODY = 403, UNTIMELY = 409, OTHER_STUDY = 410, UNTRUE = 422;

class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

function trouble(text) {
  one("#trouble").textContent = text;
  one("#trouble").hidden = !text;
}

// Asks until there is an answer, and all of it: nothing is lost while the
// network is away.
async function ask(path, said, read = "json") {
  for (let pause = 500; ; pause = Math.min(2 * pause, 8000)) {
    try {
      const headers = { "Content-Type": "application/json" };
      if (token) headers.Authorization = `Bearer ${token}`;
      const reply = await fetch(path, said === undefined
        ? { headers }
        : { method: "POST", headers, body: JSON.stringify(said) });
      if (reply.status < 500) {
        const content = await reply[reply.ok ? read : "json"]();
        trouble("");
        if (reply.ok) return content;
        throw new Refused(reply.status, content.error);
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    trouble("No connection to the server. Trying again…");
    await wait(pause);
  }
}

async function load(left) {
  const bar = one("#instructions progress");
  const wanted = left.map((trial) => trial.pair).filter((p) => !photos.has(p));
  bar.max = wanted.length || 1;
  bar.value = wanted.length ? 0 : 1;
  const fetching = async () => {
    while (wanted.length) {
      const pair = wanted.shift();
      photos.set(pair, await ask(`/pairs/${pair}`, undefined, "blob"));
      bar.value += 1;
    }
  };
  await Promise.all([fetching(), fetching(), fetching(), fetching()]);
}

// === A pair ===

let isPausing = false;

function name(side) {
  if (!isUpright.matches) return side;
  return side === "left" ? "upper" : "lower";
}

function label() {
  for (const side of SIDES) {
    const arrow = { left: "←", right: "→", upper: "↑", lower: "↓" }[name(side)];
    const button = sides[side];
    one(".name", button).textContent = `The ${name(side)} one`;
    one("kbd", button).textContent = arrow;
    one(`.key.${side}`).textContent = arrow;
    button.setAttribute("aria-label", `The ${name(side)} one was recoloured`);
  }
}

function reveal(isSeen) {
  for (const button of Object.values(sides)) {
    button.classList.toggle("seen", isSeen);
  }
}

async function draw(trial) {
  const picture = await createImageBitmap(photos.get(trial.pair));
  SIDES.forEach((side, place) => {
    const half = trial.mirrored ? 1 - place : place;
    const { width, height } = one("canvas", sides[side]);
    one("canvas", sides[side]).getContext("2d").drawImage(
      picture, half * width, 0, width, height, 0, 0, width, height);
  });
  picture.close();
}

// Shows the pair for its time, and returns when it was hidden and for how long
// it was seen, in ms. What is changed in a frame is painted with it, so from
// frame to frame is what was seen.
async function flash(frameMs) {
  const due = 1000 * facts.seconds;
  // A page that nobody sees gets no frames, so they alone would not tell.
  let isHidden = document.hidden;
  const watching = new AbortController();
  document.addEventListener("visibilitychange", () => { isHidden = true; },
    { signal: watching.signal });
  const times = [await frame()];
  reveal(true);
  do times.push(await frame());
  while (times.at(-1) - times[0] < due - frameMs / 2);
  reveal(false);
  watching.abort();
  return { at: times.at(-1), seen: times.at(-1) - times[0], isHidden };
}

// The cross: meanwhile the server notes that the pair is about to be seen.
async function fixate(trial) {
  one("#cross").classList.add("seen");
  const shown = ask("/show", { number: trial.number });
  shown.catch(() => {}); // it is awaited below
  const times = [];
  const until = performance.now() + CROSS;
  do times.push(await frame());
  while (performance.now() < until);
  const steps = times.slice(1).map((time, n) => time - times[n]);
  steps.sort((a, b) => a - b);
  await Promise.all([shown, draw(trial)]);
  one("#cross").classList.remove("seen");
  return steps[steps.length >> 1] ?? 0;
}

function choose() {
  const listening = new AbortController();
  const { signal } = listening;
  for (const button of Object.values(sides)) button.disabled = false;
  one("#question").textContent = "Which one was recoloured?";
  return new Promise((done) => {
    const decide = (side, at) => {
      listening.abort();
      for (const button of Object.values(sides)) button.disabled = true;
      one("#question").textContent = "";
      done({ chosen: side, at });
    };
    for (const [side, button] of Object.entries(sides)) {
      button.addEventListener(
        "click", (click) => decide(side, click.timeStamp), { signal });
    }
    document.addEventListener("keydown", (press) => {
      if (!(press.key in KEYS) || press.repeat) return;
      if (press.ctrlKey || press.altKey || press.metaKey) return;
      press.preventDefault();
      decide(KEYS[press.key], press.timeStamp);
    }, { signal });
  });
}

async function tell(chosen, found) {
  reveal(true);
  const fake = found ? chosen : SIDES.find((side) => side !== chosen);
  for (const [side, button] of Object.entries(sides)) {
    button.classList.add("told");
    button.classList.toggle("fake", side === fake);
    one(".truth", button).textContent = side === fake ? "recoloured" : "true";
  }
  one("#question").textContent = found
    ? `Right: the ${name(fake)} one.` : `No: it was the ${name(fake)} one.`;
  const next = one("#next");
  next.hidden = false;
  next.focus();
  await event(next, "click");
  next.hidden = true;
  one("#question").textContent = "";
  for (const button of Object.values(sides)) {
    button.classList.remove("told", "fake");
  }
  reveal(false);
}

async function present(trial) {
  show("trial");
  const frameMs = await fixate(trial);
  const times = { number: trial.number, shown_ms: 0, frame_ms: frameMs };
  let began;
  if (facts.game) {
    reveal(true);
    began = performance.now();
  } else {
    const { at, seen, isHidden } = await flash(frameMs);
    const due = 1000 * facts.seconds;
    if (isHidden || Math.abs(seen - due) > Math.max(facts.off * due, frameMs)) {
      await pass("lost");
      return {};
    }
    began = at;
    times.shown_ms = seen;
  }
  const { chosen, at } = await choose();
  times.reaction_ms = Math.max(0, at - began);
  try {
    const { found } = await ask("/answer", { ...times, chosen });
    return { chosen, found };
  } catch (error) {
    // UNTIMELY: it had come before, and its receipt was lost.
    if (error.status === UNTRUE) await pass("lost");
    else if (error.status !== UNTIMELY) throw error;
    reveal(false);
    return {};
  }
}

// === The whole story ===

async function join(vision) {
  const said = { study: facts.study, consent: true, vision };
  keep((await ask("/join", said)).token);
}

async function welcome() {
  const step = show("welcome");
  if (facts.game) {
    await event(one(".go", step), "click");
    await join("unknown");
    return;
  }
  const form = one("form", step);
  const submitted = await new Promise((done) => {
    form.addEventListener("submit", (submit) => {
      submit.preventDefault();
      done(new FormData(form));
    }, { once: true });
  });
  await join(submitted.get("vision"));
}

async function session() {
  try {
    return await ask("/session");
  } catch (error) {
    if (error.status !== NOBODY) throw error;
    keep(null); // the study was begun anew
    return null;
  }
}

function progress(number, score) {
  const all = facts.practice + facts.trials;
  const isPractice = number <= facts.practice;
  const place = isPractice ? number : number - facts.practice;
  const of = isPractice ? facts.practice : facts.trials;
  one("#place").textContent = facts.game
    ? `${score.found} of ${score.answered} found`
    : `${isPractice ? "Practice" : "Pair"} ${place} of ${of}`;
  one("#done").max = all;
  one("#done").value = number - 1;
}

async function take(left) {
  const score = { found: 0, answered: 0 };
  let wasPractice = left[0].practice;
  for (const trial of left) {
    if (wasPractice && !trial.practice) await pass("between");
    wasPractice = trial.practice;
    if (isPausing) {
      await pass("pause");
      pausing(false);
    }
    progress(trial.number, score);
    const { chosen, found } = await present(trial);
    if (found === undefined) continue;
    score.answered += 1;
    score.found += found;
    progress(trial.number, score);
    await tell(chosen, found);
  }
  return score;
}

function pausing(is) {
  isPausing = is;
  one("#stop").setAttribute("aria-pressed", is);
  one("#stop").textContent = is ? "Pause after this pair" : "Pause";
}

async function main() {
  document.documentElement.style.setProperty(
    "--natural", facts.game ? "100vmax" : `${Math.max(256, facts.size)}px`);
  label();
  isUpright.addEventListener("change", label);
  one("#stop").addEventListener("click", () => pausing(!isPausing));
  one("#stop").hidden = facts.game;
  for (;;) {
    if (!token) await welcome();
    const found = await session();
    if (!found) continue;
    let { score } = found;
    if (found.left.length) {
      const begin = one("#instructions .go");
      show("instructions");
      await load(found.left);
      begin.disabled = false;
      await event(begin, "click");
      begin.disabled = true;
      try {
        score = await take(found.left);
      } catch (error) {
        // Another window of this browser has shown the pair: begin from there.
        if (error.status !== UNTIMELY && error.status !== NOBODY) throw error;
        continue;
      }
      if (!facts.game) continue; // the server knows the score
    }
    one("#score").textContent = score.answered
      ? `You found ${score.found} of ${score.answered} recoloured photos.` : "";
    const step = show("end");
    if (!facts.game) return;
    await event(one(".go", step), "click");
    await join("unknown");
  }
}

main().catch((error) => {
  if (error.status === OTHER_STUDY) location.reload();
  else trouble(`This page cannot go on (${error.message}). Load it again.`);
});
