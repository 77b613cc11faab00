// What the browser's tests share: the service that tests/pages/run started, a real Chromium, and short ways to ask.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const ready = JSON.parse(readFileSync(process.env.ANTEROOM_READY_FILE, "utf8"));
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const pictures = process.env.PICTURES;
mkdirSync(pictures, { recursive: true });

export const url = ready.url;
export const password = ready.users.password;

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });

// Asks the operators' listener.
async function operate(method, path, body) {
  const headers = { authorization: `Bearer ${ready.adminToken}`, "content-type": "application/json" };
  const answer = await fetch(`${ready.adminUrl}/admin/${path}`, { method, headers, body: JSON.stringify(body) });
  const told = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(told));
  return told;
}

// Changes the room's settings, as an operator would.
export const room = (change, name = "main") => operate("PATCH", `rooms/${name}`, change);

// Changes a performance.
export async function performance(scheduleId, change) {
  const { schedules } = await operate("GET", "schedules");
  const { concertId, room, venue, startsAt } = schedules.find((schedule) => schedule.scheduleId === scheduleId);
  await operate("PUT", "schedules", { scheduleId, concertId, room, venue, startsAt, ...change });
}

// What everyone may know of the room, once it is as it should be.
export async function roomIs(right, name = "main") {
  for (;;) {
    const told = await (await fetch(`${url}/queue/rooms/${name}`)).json();
    if (right(told)) return told;
    await new Promise((done) => setTimeout(done, 100));
  }
}

// Takes a place without a browser; the token, once the password is checked.
export async function join(username) {
  const answer = await fetch(`${url}/auth/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ username, password }),
  });
  let place = await answer.json();
  let { token } = place;
  while (place.status === "verifying") {
    await new Promise((done) => setTimeout(done, 200));
    place = await (await fetch(`${url}/queue/position`, { headers: { authorization: `Bearer ${token}` } })).json();
    token = place.token ?? token;
  }
  return token;
}

export const leave = (token) =>
  fetch(`${url}/queue/position`, { method: "DELETE", headers: { authorization: `Bearer ${token}` } });

// Each file has accounts of its own: who booked in one may still be inside in the next.
let users = 0;
export const usersFrom = (first) => (users = first);
export const user = () => `user${String((users += 1)).padStart(5, "0")}`;

// A window of its own visitor, with everything noted that must not happen: errors, other hosts, refused policies.
export async function visitor(browser, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 800 }, ...options });
  const faults = [];
  context.on("request", (request) => {
    const address = request.url();
    if (!address.startsWith(url) && !address.startsWith("data:")) faults.push(`another host: ${address}`);
  });
  context.on("weberror", (error) => faults.push(String(error.error())));
  context.on("console", (message) => {
    const expected = /Failed to load resource|ERR_INTERNET_DISCONNECTED/.test(message.text());
    if (message.type() === "error" && !expected) faults.push(message.text());
  });
  return { context, faults, page: await context.newPage() };
}

export async function signIn(page, name = user()) {
  await page.locator("[name=username]").fill(name);
  await page.locator("[name=password]").fill(password);
  await page.locator("[name=password]").press("Enter");
  return name;
}

export const shows = (page, view) => page.locator(`main[data-view=${view}]`).waitFor();

// WCAG 2.2 A and AA by axe, no sideways scrolling, and a picture to look at.
export async function sound(page, name) {
  await page.evaluate(axeSource).catch(() => page.addScriptTag({ content: axeSource }));
  const found = await page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await globalThis.axe.run(document, { runOnly: tags });
    return violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" | ")}`);
  });
  assert.deepEqual(found, [], name);
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(sideways <= 0, `${name} scrolls sideways by ${sideways} px`);
  await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
}
