import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { join, launch, performance, room, roomIs, shows, signIn, sound, url, visitor } from "./support.js";

let browser;
before(async () => {
  browser = await launch();
  await room({ state: "open", capacity: 2000, opensAt: null, message: null });
  await roomIs((told) => told.state === "open");
});
after(() => browser.close());

// A visitor inside, in front of the seats of the demo concert.
async function inside(options) {
  const guest = await visitor(browser, options);
  await guest.page.goto(`${url}/book`);
  await signIn(guest.page);
  await shows(guest.page, "admitted");
  await guest.page.waitForURL(`${url}/book`);
  return guest;
}

const seat = (page, label) => page.locator(`[role=grid] button[value=${label}]`);

// Someone else, without a browser, who holds a seat.
async function rival(name, label) {
  const token = await join(name);
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  for (;;) {
    const body = JSON.stringify({ scheduleId: "12345", seatId: label });
    const answer = await fetch(`${url}/reservations`, { method: "POST", headers, body });
    if (answer.status !== 403) return assert.equal(answer.status, 200);
    await new Promise((done) => setTimeout(done, 200));
  }
}

test("from signing in to the receipt, by the keyboard alone", async () => {
  const { page, faults } = await inside();
  await sound(page, "book-dates-en-1280");
  await page.locator("a[href='/book/seats/12345']").focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/seats\/12345/);
  await seat(page, "A2").focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  assert.match(await page.locator("#chosen").textContent(), /^B2, B3 · /);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#chosen").textContent(), "");
  await page.keyboard.press("Home");
  await page.keyboard.press("Enter");
  assert.match(await page.locator("#chosen").textContent(), /^B1 · /);
  assert.equal(await seat(page, "A1").getAttribute("data-state"), "sold");
  await sound(page, "book-seats-en-1280");
  await page.locator("#hold").press("Enter");
  await page.waitForURL(/reservations\//);
  await page.locator("#clock").waitFor();
  await sound(page, "book-held-en-1280");
  await page.locator("#pay button").press("Enter");
  await page.getByRole("heading", { name: "Paid" }).waitFor();
  await sound(page, "book-receipt-en-1280");
  assert.deepEqual(faults, []);
});

test("who loses a race keeps the rest of the choice, and is offered what is near", async () => {
  const { page, faults } = await inside();
  await page.goto(`${url}/book/seats/12345`);
  for (const label of ["C5", "C6"]) await seat(page, label).click();
  // Nothing new is heard of before the choice is sent.
  await page.route("**/available/seat?*", (route) => route.abort());
  await rival("user00150", "C5");
  await page.locator("#hold").click();
  await page.locator("#told").waitFor();
  assert.match(await page.locator("#told").textContent(), /C5/);
  assert.match(await page.locator("#chosen").textContent(), /^C6 · /);
  assert.equal(await page.locator("#nearest button").count(), 3);
  await sound(page, "book-lost-en-1280");
  await page.unroute("**/available/seat?*");
  await rival("user00151", "C6");
  await page.locator("#told", { hasText: "C6" }).waitFor();
  assert.equal(await seat(page, "C6").getAttribute("data-state"), "held");
  await page.locator("#nearest button").first().click();
  assert.notEqual(await page.locator("#chosen").textContent(), "");
  assert.deepEqual(faults, []);
});

test("when a sale ends, those who look at its seats are told", async () => {
  const { page, faults } = await inside();
  await page.goto(`${url}/book/seats/12347`);
  await seat(page, "A1").click();
  assert.equal(await page.locator("#told").isHidden(), true);
  const saleEndsAt = new Date(Date.now() - 1000).toISOString();
  await performance("12347", { saleEndsAt });
  const ended = "The sale of this performance has ended.";
  await page.locator("#told", { hasText: ended }).waitFor();
  // Some seconds later the page is another one, which offers nothing.
  await page.locator(".message", { hasText: ended }).waitFor();
  assert.equal(await page.locator("form").count(), 0);
  await sound(page, "book-ended-en-1280");
  await page.locator("main a").click();
  await page.waitForURL(`${url}/book`);
  assert.equal(await page.locator("a[href='/book/seats/12347']").count(), 0);
  await performance("12347", { saleEndsAt: null });
  assert.deepEqual(faults, []);
});

test("a payment whose answer is lost is asked about again, and made once", async () => {
  const { page } = await inside();
  await page.goto(`${url}/book/seats/12345`);
  await seat(page, "D1").click();
  await page.locator("#hold").click();
  await page.waitForURL(/reservations\//);
  const keys = [];
  await page.route("**/reservations/pay", async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    // The service hears it; its answer does not come back.
    const answer = await route.fetch();
    if (keys.length < 3) await route.abort();
    else await route.fulfill({ response: answer });
  });
  await page.locator("#pay button").click();
  await page.locator("#confirming").waitFor();
  await page.getByRole("heading", { name: "Paid" }).waitFor();
  assert.equal(keys.length, 3);
  assert.equal(new Set(keys).size, 1);
});

test("narrow and dark, in Korean and Japanese", async () => {
  for (const [width, colorScheme, locale] of [[320, "dark", "ko-KR"], [390, "light", "ja-JP"]]) {
    const { context, page, faults } = await inside({ viewport: { width, height: 800 }, colorScheme, locale, reducedMotion: "reduce" });
    await sound(page, `book-dates-${locale}-${width}`);
    await page.goto(`${url}/book/seats/12345`);
    await page.locator("#list summary").click();
    await page.locator("#list input").first().check();
    await sound(page, `book-seats-${locale}-${width}`);
    await page.locator("#hold").click();
    await page.waitForURL(/reservations\//);
    await sound(page, `book-held-${locale}-${width}`);
    await page.locator("form[action$=cancel] button").click();
    await page.waitForURL(/said=cancelled/);
    await sound(page, `book-ended-${locale}-${width}`);
    assert.deepEqual(faults, []);
    await context.close();
  }
});

test("without scripts one chooses, holds, pays and leaves", async () => {
  const { page } = await visitor(browser, { javaScriptEnabled: false });
  await page.goto(`${url}/book`);
  await signIn(page);
  await shows(page, "admitted");
  await page.locator("#enter").click();
  await page.locator("a[href='/book/seats/12345']").click();
  await page.locator(".together button").click();
  await page.waitForURL(/reservations\//);
  await page.locator("#pay button").click();
  await page.getByRole("heading", { name: "Paid" }).waitFor();
  await page.getByRole("button", { name: "Finish and leave" }).click();
  await shows(page, "left");
});
