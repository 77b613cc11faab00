// The waiting page, live. The service decides what is said; this asks it, shows the answer, and knows what only a browser
// can know: that it is offline, that nobody looks, that another tab asks already.
const by = (id) => document.getElementById(id);
const main = document.querySelector("main");
const language = document.documentElement.lang;
const words = JSON.parse(by("words").textContent);
const path = `/wait/${main.dataset.room}/now?lang=${language}`;
const name = `anteroom:${main.dataset.room}:${language}`;

let now = JSON.parse(by("now").textContent);
let heard = performance.now();
let skew = Date.parse(now.serverTime) - Date.now();
let failures = 0;
let patience = 0;

// --- Asking: one request at a time, from one tab of the browser ---

let timer;
let asking = false;
let leads = false;

function askIn(ms) {
  clearTimeout(timer);
  if (leads) timer = setTimeout(ask, ms);
}

async function ask() {
  if (asking || !leads) return;
  asking = true;
  const began = Date.now();
  try {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(failures ? 8000 : 15000) });
    patience = 1000 * (Number(answer.headers.get("retry-after")) || 0); // A proxy may tell a date instead of seconds.
    if (!answer.ok) throw new Error(answer.status);
    const told = await answer.json();
    skew = Date.parse(told.serverTime) - (began + Date.now()) / 2;
    channel.postMessage({ told, skew });
    show(told);
  } catch {
    failures += 1;
  }
  asking = false;
  listen();
  askIn(interval());
}

// After a failure at most ten seconds pass: the service, once it is back, waits thirteen for all who are there.
function interval() {
  const spread = 1 + Math.random() / 4;
  if (failures) return Math.min(Math.max(patience, 1000 * 2 ** failures), 8000) * spread;
  return now.pollAfterMs * (document.hidden ? 2 : stream ? 4 : 1);
}

// Whoever holds the lock asks, and tells the other tabs. A tab that comes to the front takes the lock: browsers let
// hidden ones sleep.
const channel = new BroadcastChannel(name);
channel.onmessage = ({ data }) => {
  skew = data.skew;
  show(data.told);
};

let queueing;
function lead(steal) {
  queueing?.abort();
  const mine = (queueing = new AbortController());
  const held = () => {
    leads = true;
    askIn(steal ? 0 : interval());
    return new Promise(() => {});
  };
  navigator.locks.request(name, steal ? { steal } : { signal: mine.signal }, held).catch(() => {
    if (mine !== queueing) return;
    leads = false;
    stream?.close();
    stream = undefined;
    lead(false);
  });
}

// Near the front the service calls; what it says is only that it is worth asking. While asking fails, it is no sooner worth it.
let stream;
let deaf = 0;
function listen() {
  const near = now.view === "almost" && leads && deaf < 3;
  if (near && !stream) {
    stream = new EventSource("/queue/events");
    for (const kind of ["position", "admitted", "expired", "notice"]) {
      stream.addEventListener(kind, () => failures || askIn(Math.max(0, 1000 - (performance.now() - heard))));
    }
    stream.onopen = () => (deaf = 0);
    stream.onerror = () => {
      deaf += 1;
      stream.close();
      stream = undefined;
    };
  } else if (!near && stream) {
    stream.close();
    stream = undefined;
  }
}

// --- Showing ---

const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
const date = new Intl.DateTimeFormat(language, {
  year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short",
});

function fill(part) {
  const value = now[part.dataset.is];
  if (part.tagName === "TIME") {
    if (value) part.textContent = ("short" in part.dataset ? clock : date).format(new Date(value));
    part.dateTime = value ?? "";
  } else {
    part.textContent = value ?? part.dataset.or ?? "";
  }
  if (!part.dataset.or) part.closest("dl div, p, aside").hidden = value == null;
}

function show(told) {
  const before = now;
  now = told;
  // The password turned out to be wrong: the page says so where it is typed.
  if (before.view === "verifying" && now.view === "door") return location.reload();
  heard = performance.now();
  failures = 0;
  document.title = now.title;
  main.dataset.view = now.view;
  const focused = document.activeElement;
  for (const part of document.querySelectorAll("[data-in]")) part.hidden = !part.dataset.in.split(" ").includes(now.view);
  for (const part of document.querySelectorAll("[data-is]:not(h1):not(.lead)")) fill(part);
  if (before.heading !== now.heading) by("heading").textContent = now.heading;
  if (before.text !== now.text) document.querySelector(".lead").textContent = now.text;
  if (focused?.closest("[hidden]")) by("heading").focus();
  progress();
  explain();
  speak(before);
  if (now.view === "admitted" && before.view !== "admitted") turn();
  tick();
}

// From the first position that this browser saw under this number; never backwards.
function progress() {
  const bar = by("progress");
  const place = `${now.support}`;
  let first = Number(localStorage.getItem(name + place));
  if (now.position > first) localStorage.setItem(name + place, (first = now.position));
  bar.hidden = !(first > 1 && now.position);
  if (bar.hidden) return;
  bar.max = first;
  bar.value = Math.max(bar.value, first - now.position);
}

let expected;
function explain() {
  const longer = expected && now.p90Seconds > expected * 1.3 && now.p90Seconds > 60;
  if (longer) by("note").textContent = words.grew;
  if (longer || !now.p90Seconds) by("note").hidden = !longer;
  if (now.p90Seconds && (longer || !expected || now.p90Seconds < expected)) expected = now.p90Seconds;
}

let spoken = 0;
function speak(before) {
  const step = now.position <= 20 && now.position !== before.position;
  const due = performance.now() - spoken > 30000 && now.position !== before.position;
  const text = now.view !== before.view ? `${now.heading}. ${now.text}` : (step || due) && now.ahead ? words.say.replace("{n}", now.ahead) : "";
  if (!text) return;
  spoken = performance.now();
  by("say").textContent = text;
}

// Every second: the clocks, which are the service's, and whether what is shown is still true.
function tick() {
  const left = (until) => Math.max(0, Math.ceil((Date.parse(until) - Date.now() - skew) / 1000));
  const opens = by("opens");
  opens.hidden = !now.opensAt;
  if (now.opensAt) opens.textContent = span(left(now.opensAt));
  by("until").textContent = now.activeUntil ? span(left(now.activeUntil)) : "";
  const silent = performance.now() - heard > 3 * now.pollAfterMs * (document.hidden ? 8 : 1) + 5000;
  const text = !navigator.onLine ? words.offline : failures > 1 ? words.failed : silent || now.stale ? words.stale : "";
  const banner = by("banner");
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = !text;
  step();
}

function span(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const days = Math.floor(seconds / 86400);
  const time = `${two(Math.floor(seconds / 3600) % 24)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return days ? `${words.days.replace("{n}", days)} ${time}` : time;
}

// --- One's turn ---

// Three seconds in front of someone's eyes, once for a visit; never in a hidden tab.
let stay = false;
let seen = 0;
function step() {
  const enter = by("enter");
  if (!enter) return;
  const once = `${name}:${now.activeUntil}`;
  const going = now.view === "admitted" && !stay && !sessionStorage.getItem(once);
  by("stepping").hidden = !going;
  if (!going || document.hidden) {
    seen = 0;
    return;
  }
  seen ||= performance.now();
  const left = Math.ceil(3 - (performance.now() - seen) / 1000);
  by("stepping").firstElementChild.textContent = words.stepping.replace("{s}", Math.max(left, 1));
  if (left > 0) return;
  sessionStorage.setItem(once, "1");
  location.assign(enter.href);
}

let sound;
function turn() {
  by("heading").focus();
  if (!sound || !document.hidden) return;
  const tone = sound.createOscillator();
  tone.connect(sound.destination);
  tone.start();
  tone.stop(sound.currentTime + 0.6);
  if (Notification.permission === "granted") new Notification(now.heading, { body: now.text, tag: name });
}

by("stepping")?.querySelector("button").addEventListener("click", () => {
  stay = true;
  by("enter").focus();
  tick();
});

const notify = by("notify");
notify.hidden = !("Notification" in window && "AudioContext" in window);
notify.addEventListener("click", async () => {
  sound = sound ? void sound.close() : new AudioContext();
  notify.setAttribute("aria-pressed", String(Boolean(sound)));
  if (!sound) return;
  by("say").textContent = words.notified;
  await Notification.requestPermission();
});

// --- Leaving, with time to think again ---

let leaving;
by("leave").addEventListener("submit", (event) => {
  event.preventDefault();
  const end = performance.now() + 8000;
  const [text, undo] = by("leaving").children;
  const count = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    text.textContent = words.leaving.replace("{s}", Math.max(left, 0));
    if (left <= 0) event.target.submit();
  };
  clearInterval(leaving);
  leaving = setInterval(count, 1000);
  count();
  event.target.hidden = true;
  by("leaving").hidden = false;
  undo.focus();
  undo.onclick = () => {
    clearInterval(leaving);
    event.target.hidden = false;
    by("leaving").hidden = true;
    event.target.querySelector("button").focus();
  };
});

const copy = by("copy");
copy.hidden = !navigator.clipboard;
copy.addEventListener("click", async () => {
  await navigator.clipboard.writeText(now.support);
  by("copied").textContent = words.copied;
});

// --- Begin ---

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return tick();
  if (leads) ask();
  else lead(true);
});
addEventListener("online", () => ask());
addEventListener("offline", tick);
addEventListener("pageshow", (event) => event.persisted && lead(true));
setInterval(tick, 1000);
lead(!document.hidden);
for (const part of document.querySelectorAll("time[data-is]")) fill(part);
progress();
tick();
if (now.view === "admitted") turn();
