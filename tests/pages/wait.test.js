import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { join, launch, leave, password, room, roomIs, shows, signIn, sound, url, user, usersFrom, visitor } from "./support.js";

usersFrom(50);
let browser;
before(async () => (browser = await launch()));
after(() => browser.close());
beforeEach(async () => {
  await room({ state: "open", capacity: 0, opensAt: null, message: null });
  await roomIs((told) => told.state === "open" && !told.message);
});

const wait = `${url}/wait/main`;

test("a visitor joins, moves up as others leave, and goes in by the keyboard alone", async () => {
  const ahead = [];
  for (let n = 0; n < 3; n += 1) ahead.push(await join(user()));
  const { page, faults } = await visitor(browser);
  await page.goto(`${wait}?return=/livez`);
  await shows(page, "door");
  await sound(page, "wait-door-en-1280");
  await page.locator("[name=username]").focus();
  await page.keyboard.type(user());
  await page.keyboard.press("Tab");
  await page.keyboard.type(password);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await shows(page, "almost");
  const number = page.locator("[data-is=ahead]");
  await page.getByText("3 people").waitFor().catch(() => {});
  assert.equal(await number.textContent(), "3");
  assert.match(await page.title(), /^No. 4 in line/);
  await page.reload();
  assert.equal(await number.textContent(), "3", "a refresh keeps the place");
  await leave(ahead[0]);
  await page.locator("[data-is=ahead]", { hasText: /^2$/ }).waitFor();
  await page.locator("#progress").waitFor();
  await sound(page, "wait-almost-en-1280");

  await room({ capacity: 2000 });
  await shows(page, "admitted");
  assert.match(await page.title(), /^★/);
  await sound(page, "wait-admitted-en-1280");
  // Stepping in by itself can be stopped; then the button does it.
  await page.locator("#stepping button").press("Enter");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${url}/livez`);
  assert.deepEqual(faults, []);
});

test("a visible window steps in by itself, once", async () => {
  await room({ capacity: 2000 });
  const { page, faults } = await visitor(browser);
  await page.goto(`${wait}?return=/livez`);
  await signIn(page);
  await page.waitForURL(`${url}/livez`);
  await page.goto(`${wait}?return=/livez`);
  await shows(page, "admitted");
  await page.waitForTimeout(100);
  assert.ok(await page.locator("#stepping").isHidden(), "a gate that sends back is no endless round");
  assert.deepEqual(faults, []);
});

test("every state can be read by everyone, wide and narrow, light and dark", async () => {
  const views = {
    waiting: { heading: "You are in line", text: "This page tells you.", title: "No. 1,234", ahead: "1,233", behind: "5,210", position: 1234, wait: "12–16 min" },
    paused: { heading: "입장이 잠시 멈췄습니다", text: "순번은 그대로 유지됩니다.", ahead: "12", position: 13 },
    soldout: { heading: "Sold out", text: "No seat is left." },
    recovering: { heading: "The line is being restored", text: "Your place is kept." },
    expired: { heading: "Your place has ended", text: "You were away." },
    scheduled: { heading: "Waiting", text: "You have your place.", opensAt: new Date(Date.now() + 3 * 86400e3).toISOString() },
    closed: { heading: "Closed", text: "Nobody is let in.", message: "Back tomorrow.\nSorry." },
    full: { heading: "The line is full", text: "Please try again." },
    verifying: { heading: "Checking your sign-in", text: "You already have your place." },
  };
  for (const [width, colorScheme, locale] of [[1280, "light", "en-GB"], [320, "dark", "ko-KR"], [390, "light", "ja-JP"]]) {
    const { context, page, faults } = await visitor(browser, {
      viewport: { width, height: 800 }, colorScheme, locale, reducedMotion: "reduce",
    });
    await page.goto(wait);
    await sound(page, `wait-door-${locale}-${width}`);
    await signIn(page);
    await shows(page, "almost");
    await sound(page, `wait-almost-${locale}-${width}`);
    for (const [view, told] of Object.entries(views)) {
      await context.route("**/now?*", async (route) => {
        const answer = await route.fetch();
        await route.fulfill({ json: { ...(await answer.json()), ahead: null, position: null, behind: null, wait: null, ...told, view } });
      });
      await page.evaluate(() => dispatchEvent(new Event("online")));
      await shows(page, view);
      await sound(page, `wait-${view}-${locale}-${width}`);
      await context.unroute("**/now?*");
    }
    assert.deepEqual(faults, []);
    await context.close();
  }
});

test("without a network the last answer stays, and it goes on by itself", async () => {
  const { context, page } = await visitor(browser);
  await page.goto(wait);
  await signIn(page);
  await shows(page, "almost");
  const before = await page.locator("[data-is=ahead]").textContent();
  await context.setOffline(true);
  await page.locator("#banner:not([hidden])").waitFor();
  assert.match(await page.locator("#banner").textContent(), /offline/);
  assert.equal(await page.locator("[data-is=ahead]").textContent(), before);
  await sound(page, "wait-offline-en-1280");
  await context.setOffline(false);
  await page.locator("#banner").waitFor({ state: "hidden" });
  await context.route("**/now?*", (route) => route.fulfill({ status: 503, json: {} }));
  await page.locator("#banner", { hasText: "does not answer" }).waitFor();
  assert.equal(await page.locator("[data-is=ahead]").textContent(), before);
});

// Red when a date in Retry-After is no limit at all, when seconds are obeyed without one, and when silence is waited for.
test("whatever a proxy answers, it asks again soon, and never without a pause", { timeout: 90_000 }, async () => {
  const { context, page } = await visitor(browser);
  await page.goto(wait);
  await signIn(page);
  await shows(page, "almost");
  const failing = [
    (route) => route.fulfill({ status: 503, headers: { "retry-after": new Date(Date.now() + 3600e3).toUTCString() }, body: "" }),
    (route) => route.fulfill({ status: 503, headers: { "retry-after": "3600" }, body: "" }),
    () => {},
  ];
  const asked = [];
  await context.route("**/now?*", (route) => (failing[asked.push(Date.now()) - 1] ?? ((last) => last.continue()))(route));
  while (asked.length <= failing.length) await page.waitForTimeout(100);
  const [afterDate, afterHour, afterSilence] = failing.map((_, n) => asked[n + 1] - asked[n]);
  const told = `${afterDate}, ${afterHour}, ${afterSilence} ms`;
  assert.ok(afterDate > 1500 && afterDate < 4000, told);
  assert.ok(afterHour > 6000 && afterHour < 12000, told);
  assert.ok(afterSilence > 12000 && afterSilence < 20000, told);
});

test("all tabs of a browser ask through one of them", async () => {
  const { context, page } = await visitor(browser);
  await page.goto(wait);
  await signIn(page);
  await shows(page, "almost");
  const asked = new Map();
  context.on("request", (request) => {
    if (request.url().includes("/now?")) asked.set(request.frame().page(), (asked.get(request.frame().page()) ?? 0) + 1);
  });
  const second = await context.newPage();
  await second.goto(wait);
  await shows(second, "almost");
  await room({ message: "Hello, all tabs." });
  await page.getByText("Hello, all tabs.").waitFor();
  await second.getByText("Hello, all tabs.").waitFor();
  // The one that opened last took the lead; after that the other only listens.
  const before = asked.get(page) ?? 0;
  const led = asked.get(second);
  await second.waitForResponse(/now\?/);
  await second.waitForResponse(/now\?/);
  assert.equal(asked.get(page) ?? 0, before);
  assert.ok(asked.get(second) > led);
  await second.close();
  await page.waitForResponse(/now\?/);
});

test("leaving can be undone for a while, and one tap joins again", async () => {
  const { page, faults } = await visitor(browser);
  await page.goto(wait);
  await signIn(page);
  await shows(page, "almost");
  await page.getByText("Leave the line").click();
  await page.getByRole("button", { name: "Leave" }).click();
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("button", { name: "Leave" }).click();
  await shows(page, "left");
  await sound(page, "wait-left-en-1280");
  await page.getByRole("button", { name: "Join again" }).click();
  await shows(page, "almost");
  assert.deepEqual(faults, []);
});

test("a wrong password is said where it is typed", async () => {
  const { page } = await visitor(browser);
  await page.goto(wait);
  await page.locator("[name=username]").fill(user());
  await page.locator("[name=password]").fill("wrong password");
  await page.locator("[name=password]").press("Enter");
  await page.getByRole("alert").waitFor();
  assert.match(await page.getByRole("alert").textContent(), /wrong/);
  await sound(page, "wait-mistake-en-1280");
});

test("without scripts one joins, sees one's position, refreshes, leaves", async () => {
  const { page } = await visitor(browser, { javaScriptEnabled: false });
  await page.goto(`${wait}?lang=ko`);
  await signIn(page);
  await shows(page, "almost");
  assert.equal(await page.locator("html").getAttribute("lang"), "ko", "the choice of a language is kept");
  assert.equal(await page.locator("meta[http-equiv=refresh]").count(), 1);
  await page.getByRole("link", { name: "지금 확인하기" }).click();
  await shows(page, "almost");
  await page.screenshot({ path: `${process.env.PICTURES}/wait-no-script-ko.png`, fullPage: true });
  await page.getByText("대기열에서 나가기").click();
  await page.getByRole("button", { name: "나가기" }).click();
  await shows(page, "left");
});
