// The seats, live. A choice is kept here until it is sent; what others take meanwhile is shown where it stands.
const by = (id) => document.getElementById(id);
const words = JSON.parse(by("words").textContent);
const form = by("seats");
const schedule = form.dataset.schedule;
const language = document.documentElement.lang;
const number = new Intl.NumberFormat(language);
const rows = [...document.querySelectorAll("[role=row]")].map((row) => [...row.querySelectorAll("button")]);
const seats = new Map(rows.flat().map((seat) => [seat.value, seat]));
const boxes = new Map([...by("list").querySelectorAll("input")].map((box) => [box.value, box]));
const most = 4;

const isChosen = (seat) => seat.getAttribute("aria-pressed") === "true";
const chosen = () => [...seats.values()].filter(isChosen);
const isFree = (seat) => seat.dataset.state === "available";

// --- Choosing ---

function label(seat) {
  const state = isChosen(seat) ? words.chosen : words[seat.dataset.state];
  seat.firstElementChild.textContent = `${seat.value}, ${words.points.replace("{n}", number.format(seat.dataset.price))}, ${state}`;
}

function choose(seat, on) {
  if (on && !isFree(seat)) return;
  if (on && chosen().length >= most) {
    say(words.limit);
    if (boxes.has(seat.value)) boxes.get(seat.value).checked = false;
    return;
  }
  if (on) seat.setAttribute("aria-pressed", "true");
  else seat.removeAttribute("aria-pressed");
  if (boxes.has(seat.value)) boxes.get(seat.value).checked = on;
  label(seat);
  count();
}

function count() {
  const now = chosen();
  const sum = now.reduce((sum, seat) => sum + Number(seat.dataset.price), 0);
  by("chosen").textContent = now.length ? `${now.map((seat) => seat.value).join(", ")} · ${words.points.replace("{n}", number.format(sum))}` : "";
}

function say(text) {
  by("say").textContent = text;
}

for (const seat of seats.values()) {
  // A button of a form until here; from now on it only chooses.
  seat.type = "button";
  seat.tabIndex = -1;
  seat.addEventListener("click", () => {
    roam(seat, false);
    choose(seat, !isChosen(seat));
  });
}
for (const [value, box] of boxes) box.addEventListener("change", () => choose(seats.get(value), box.checked));

// --- The keyboard: one stop for Tab, arrows within ---

let current = chosen()[0] ?? rows.flat().find(isFree) ?? rows[0]?.[0];
if (current) current.tabIndex = 0;

function roam(seat, focus = true) {
  if (!seat) return;
  current.tabIndex = -1;
  current = seat;
  current.tabIndex = 0;
  if (focus) current.focus();
}

document.querySelector("[role=grid]").addEventListener("keydown", (event) => {
  const row = rows.findIndex((seats) => seats.includes(current));
  const at = rows[row].indexOf(current);
  const within = (row) => rows[row]?.[Math.min(at, rows[row].length - 1)];
  const moves = {
    ArrowLeft: () => rows[row][at - 1],
    ArrowRight: () => rows[row][at + 1],
    ArrowUp: () => within(row - 1),
    ArrowDown: () => within(row + 1),
    Home: () => (event.ctrlKey ? rows[0][0] : rows[row][0]),
    End: () => (event.ctrlKey ? rows.at(-1).at(-1) : rows[row].at(-1)),
    Escape: () => {
      for (const seat of chosen()) choose(seat, false);
      say(words.chosenNone);
    },
  };
  if (!moves[event.key] || event.altKey || event.metaKey) return;
  event.preventDefault();
  roam(moves[event.key]());
});

// --- What others do ---

function lose(lost, nearest) {
  for (const seat of lost) choose(seat, false);
  tell(words.lost.replace("{seats}", lost.map((seat) => seat.value).join(", ")), nearest ?? near(lost[0]));
}

function tell(text, nearest = []) {
  const [line, offers] = by("told").children;
  by("told").hidden = false;
  line.textContent = text;
  offers.hidden = !nearest.length;
  offers.lastElementChild.replaceChildren(...nearest.map((seat) => {
    const offer = document.createElement("button");
    offer.type = "button";
    offer.className = "quiet";
    offer.textContent = seat.value;
    offer.addEventListener("click", () => {
      choose(seat, true);
      roam(seat);
      by("told").hidden = true;
    });
    return offer;
  }));
}

// The three nearest free seats; another row counts as far as three seats.
function near(seat) {
  const place = (seat) => rows.findIndex((row) => row.includes(seat));
  const from = place(seat);
  const distance = (other) => 3 * Math.abs(place(other) - from) + Math.abs(other.dataset.n - seat.dataset.n);
  const free = rows.slice(Math.max(0, from - 3), from + 4).flat().filter((other) => isFree(other) && !isChosen(other));
  return free.map((other) => [distance(other), other]).sort(([a], [b]) => a - b).slice(0, 3).map(([, other]) => other);
}

let version;
async function look() {
  if (document.hidden) return;
  const answer = await fetch(`/reservations/available/seat?scheduleId=${schedule}&all=true`, { cache: "no-cache" });
  if (answer.status === 403 || answer.status === 401) return location.reload();
  if (answer.status === 410) return ended();
  if (!answer.ok) return;
  const told = await answer.json();
  if (told.version === version) return;
  version = told.version;
  const lost = [];
  for (const { seatId, status } of told.seats) {
    const seat = seats.get(seatId);
    if (seat.dataset.state === status || (seat.dataset.state === "mine" && status !== "available")) continue;
    seat.dataset.state = status;
    if (status === "available") seat.removeAttribute("aria-disabled");
    else seat.setAttribute("aria-disabled", "true");
    if (boxes.has(seatId)) boxes.get(seatId).disabled = status !== "available";
    if (isChosen(seat) && status !== "available") lost.push(seat);
    label(seat);
  }
  if (lost.length && !holding) lose(lost);
}

let over = false;
async function follow() {
  await look().catch(() => {});
  if (!over) setTimeout(follow, 1500);
}

// Not at once: another process may not know it yet, and would show the map again.
function ended() {
  over = true;
  tell(words.saidEnded);
  setTimeout(() => location.reload(), 5000 + 5000 * Math.random());
}

// --- Holding: the same question is asked again with the same key until it is answered ---

let holding = false;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const asked = chosen();
  if (holding) return;
  if (!asked.length) return tell(words.chosenNone);
  holding = true;
  const key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  const body = JSON.stringify({ scheduleId: schedule, seatIds: asked.map((seat) => seat.value) });
  const headers = { "content-type": "application/json", "idempotency-key": key };
  for (let tries = 0; tries < 6; tries += 1) {
    try {
      const answer = await fetch("/reservations", { method: "POST", headers, body });
      const told = await answer.json();
      if (answer.ok) return location.assign(`/book/reservations/${told.reservationId}`);
      if (answer.status === 403 || answer.status === 401) return location.reload();
      if (answer.status < 500 && told.code !== "idempotency-key-in-flight") {
        refused(told);
        break;
      }
    } catch {
      // The network was lost: asking again with the same key holds nothing twice.
    }
    if (tries === 5) tell(words.saidOther);
    await new Promise((done) => setTimeout(done, 500 * 2 ** tries));
  }
  holding = false;
});

function refused(problem) {
  if (problem.code === "sale-ended") return ended();
  if (problem.code === "seat-limit") return tell(words.saidLimit);
  if (problem.code !== "seat-taken") return tell(words.saidOther);
  const lost = problem.seats.map((seat) => seats.get(seat));
  for (const seat of lost) {
    if (isFree(seat)) seat.dataset.state = "held";
    seat.setAttribute("aria-disabled", "true");
  }
  version = undefined;
  lose(lost, problem.alternatives.slice(0, 3).map((seat) => seats.get(seat)).filter((seat) => !isChosen(seat)));
}

for (const seat of seats.values()) if (isChosen(seat)) label(seat);
const offered = [...by("nearest").querySelectorAll("button")].map((offer) => seats.get(offer.value));
if (offered.length) tell(by("told").firstElementChild.textContent, offered);
for (const part of document.querySelectorAll("time[datetime]")) {
  const style = { dateStyle: "medium", timeStyle: "short" };
  part.textContent = new Intl.DateTimeFormat(language, style).format(new Date(part.dateTime));
}
count();
follow();
