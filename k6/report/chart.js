// Draws the charts of a report, in the page itself: lines over time, with a legend to hide some and the values under the
// pointer. No library, so that the page needs nothing else.
'use strict';

(() => {
  const NS = 'http://www.w3.org/2000/svg';
  const HEIGHT = 230;
  const EDGE = { left: 46, right: 16, top: 10, bottom: 24 };

  const make = (name, attributes, parent) => {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (parent) parent.append(element);
    return element;
  };
  const html = (name, text, parent, className) => {
    const element = document.createElement(name);
    element.textContent = text;
    if (className) element.className = className;
    parent.append(element);
    return element;
  };
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, '0')}`;
  const figure = (value) =>
    value === null ? '–' : value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(value < 1 ? 2 : 1);

  // The next of 1, 2, 5, 10, 20, 50 … above.
  const niceStep = (rough) => {
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * ([1, 2, 5, 10].find((n) => n * power >= rough) || 10);
  };

  const show = (chart, parent) => {
    const box = document.createElement('figure');
    const caption = html('figcaption', `${chart.title} `, box);
    html('span', chart.unit, caption);
    const svg = make('svg', { role: 'img', 'aria-label': chart.title });
    box.append(svg);
    const hidden = new Set();
    const colour = (i) => `var(--c${i % 9})`;
    if (chart.lines.length > 1) {
      const legend = html('div', '', box, 'legend');
      chart.lines.forEach((line, i) => {
        const button = html('button', line.name, legend);
        button.type = 'button';
        button.style.setProperty('--colour', colour(i));
        button.setAttribute('aria-pressed', 'true');
        button.onclick = () => {
          if (!hidden.delete(i)) hidden.add(i);
          button.setAttribute('aria-pressed', String(!hidden.has(i)));
          draw();
        };
      });
    }
    if (chart.note) html('p', chart.note, box);
    const tip = html('div', '', box, 'tip');
    tip.hidden = true;
    parent.append(box);

    let scale = { x: () => 0, width: 0 };
    const draw = () => {
      const width = Math.max(280, svg.clientWidth || 460);
      const last = chart.at[chart.at.length - 1] || 1;
      const lines = chart.lines.filter((_, i) => !hidden.has(i));
      const highest = Math.max(0, ...lines.flatMap((line) => line.values.map((value) => value || 0)));
      const step = niceStep((highest || 1) / 4);
      const top = Math.max(step, Math.ceil(highest / step) * step);
      const x = (seconds) => EDGE.left + (seconds / last) * (width - EDGE.left - EDGE.right);
      const y = (value) => EDGE.top + (1 - value / top) * (HEIGHT - EDGE.top - EDGE.bottom);
      scale = { x, width };
      svg.replaceChildren();
      svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
      for (let value = 0; value <= top + step / 2; value += step) {
        make('line', { class: 'grid', x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }, svg);
        make('text', { x: EDGE.left - 6, y: y(value) + 4, 'text-anchor': 'end' }, svg).textContent = figure(Number(value.toPrecision(6)));
      }
      const tick = [5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600].find((s) => last / s <= (width > 420 ? 8 : 5)) || 7200;
      for (let seconds = 0; seconds <= last; seconds += tick) {
        make('text', { x: x(seconds), y: HEIGHT - 6, 'text-anchor': seconds === 0 ? 'start' : 'middle' }, svg).textContent = clock(seconds);
      }
      if (chart.goal && chart.goal <= top) {
        make('line', { class: 'goal', x1: EDGE.left, x2: width - EDGE.right, y1: y(chart.goal), y2: y(chart.goal) }, svg);
      }
      chart.lines.forEach((line, i) => {
        if (hidden.has(i)) return;
        let pen = 'M';
        const path = line.values
          .map((value, n) => {
            if (value === null) {
              pen = 'M';
              return '';
            }
            const point = `${pen}${x(chart.at[n]).toFixed(1)} ${y(value).toFixed(1)}`;
            // A point with nothing on either side would not be seen.
            const alone = pen === 'M' && (line.values[n + 1] === null || line.values[n + 1] === undefined);
            pen = 'L';
            return alone ? `${point}h0.1` : point;
          })
          .join('');
        const stroke = make('path', { d: path, fill: 'none', 'stroke-width': 1.8, 'stroke-linejoin': 'round', 'stroke-linecap': 'round' }, svg);
        stroke.style.stroke = colour(i);
      });
      make('line', { class: 'cross', y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: 'hidden' }, svg);
    };

    const point = (event) => {
      const bounds = svg.getBoundingClientRect();
      const at = ((event.clientX - bounds.left) / bounds.width) * scale.width;
      let n = 0;
      chart.at.forEach((seconds, i) => {
        if (Math.abs(scale.x(seconds) - at) < Math.abs(scale.x(chart.at[n]) - at)) n = i;
      });
      const cross = svg.querySelector('.cross');
      cross.setAttribute('x1', scale.x(chart.at[n]));
      cross.setAttribute('x2', scale.x(chart.at[n]));
      cross.setAttribute('visibility', 'visible');
      tip.replaceChildren();
      html('b', clock(chart.at[n]), tip);
      chart.lines.forEach((line, i) => {
        if (hidden.has(i) || line.values[n] === null) return;
        const row = html('div', '', tip);
        const dot = html('i', '', row);
        dot.style.setProperty('--colour', colour(i));
        row.append(`${line.name} ${figure(line.values[n])}`);
      });
      tip.hidden = false;
      const left = event.clientX - bounds.left;
      tip.style.left = left < bounds.width / 2 ? `${left + 28}px` : 'auto';
      tip.style.right = left < bounds.width / 2 ? 'auto' : `${bounds.width - left + 28}px`;
    };
    svg.onpointermove = point;
    svg.onpointerdown = point;
    svg.onpointerleave = () => {
      tip.hidden = true;
      svg.querySelector('.cross').setAttribute('visibility', 'hidden');
    };
    new ResizeObserver(draw).observe(svg);
    draw();
  };

  const all = JSON.parse(document.getElementById('data').textContent);
  const parent = document.getElementById('charts');
  all.forEach((chart) => show(chart, parent));
  if (all.length === 0) html('p', 'No figures over time were kept for this run.', parent);
})();
