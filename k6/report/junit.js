// The goals as a JUnit file: a suite is a run, a case is a goal.

/** @param {import('./judge.js').Judgement} judged */
export function junit({ test, verdict, doubts, goals, seconds }) {
  const cases = goals.map(({ what, measured, ok }) =>
    ok
      ? `  <testcase classname="load.${test}" name="${xml(what)}"/>`
      : `  <testcase classname="load.${test}" name="${xml(what)}"><failure message="measured ${xml(measured)}"/></testcase>`,
  );
  cases.push(...doubts.map((doubt) => `  <testcase classname="load.${test}" name="can be believed"><error message="${xml(doubt)}"/></testcase>`));
  const failures = goals.filter((goal) => !goal.ok).length;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="load.${test}" tests="${cases.length}" failures="${failures}" errors="${doubts.length}" time="${seconds.toFixed(1)}">`,
    `  <properties><property name="verdict" value="${verdict}"/></properties>`,
    ...cases,
    '</testsuite>',
    '',
  ].join('\n');
}

/** @param {string} text */
export const xml = (text) =>
  String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
