// A reservation: the hold's clock, which is the service's, and paying once however often it is asked.
const by = (id) => document.getElementById(id);
const words = JSON.parse(by("words").textContent);
const language = document.documentElement.lang;

for (const part of document.querySelectorAll("time[datetime]")) {
  const style = { dateStyle: "medium", timeStyle: "medium" };
  part.textContent = new Intl.DateTimeFormat(language, style).format(new Date(part.dateTime));
}

// --- The clock: warnings at a minute and at a quarter of one; at the end the page says what happened ---

const clock = by("clock");
let paying = false;
if (clock) {
  const left = Date.parse(clock.dataset.ends) - Date.parse(clock.dataset.now);
  const end = performance.now() + left;
  let warned = Infinity;
  const tick = () => {
    const seconds = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    clock.hidden = false;
    clock.lastElementChild.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    const mark = [15, 60].find((mark) => seconds <= mark);
    if (mark < warned) {
      warned = mark;
      by("warn").textContent = words.warn.replace("{s}", seconds);
      clock.classList.add("banner");
    }
    if (seconds > 0 || paying) return;
    clearInterval(ticking);
    setTimeout(() => location.reload(), 1000);
  };
  const ticking = setInterval(tick, 1000);
  tick();
}

// --- Paying: while nobody knows how it ended, the same question is asked with the same key ---

const pay = by("pay");
pay?.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (paying) return;
  paying = true;
  pay.querySelector("button").disabled = true;
  const { reservation, amount } = pay.dataset;
  const body = JSON.stringify({ reservationId: reservation, amount: Number(amount) });
  const headers = { "content-type": "application/json", "idempotency-key": `book-${reservation}-${crypto.randomUUID?.() ?? Date.now()}` };
  for (let tries = 0; ; tries += 1) {
    try {
      const answer = await fetch("/reservations/pay", { method: "POST", headers, body, signal: AbortSignal.timeout(15000) });
      const { code } = await answer.json();
      if (answer.ok) return location.assign(location.pathname);
      const known = answer.status < 500 && answer.status !== 429 && !/in-flight$/.test(code);
      if (known) return location.assign(`${location.pathname}?said=${code}`);
    } catch {
      // The network was lost, or the answer took too long: nobody knows yet.
    }
    by("confirming").hidden = false;
    await new Promise((done) => setTimeout(done, Math.min(500 * 2 ** tries, 8000)));
  }
});
