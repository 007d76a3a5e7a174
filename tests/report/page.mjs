// The report of a load test, as a reader sees it: in both themes, wide and narrow,
// without a network and without scripts. Leaves a picture of each beside the page.

import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';

import { chromium } from 'playwright-core';

const [page] = process.argv.slice(2);
const url = pathToFileURL(page).href;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
});

/** Everything that the assertions need; runs in the page. */
function look() {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  // https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
  const luminance = (color) => {
    const [red, green, blue] = channels(color).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const backgroundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  for (const details of document.querySelectorAll('details')) details.open = true;
  const name = (element) => `${element.tagName} ${element.textContent.trim().slice(0, 40)}`;
  const everything = [...document.querySelectorAll('body *')];
  return {
    title: document.title,
    text: document.body.innerText,
    scripts: document.scripts.length,
    background: getComputedStyle(document.body).backgroundColor,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    // Outside the window, or in an element that would have to be scrolled.
    cut: everything
      .filter((element) => {
        const { left, right } = element.getBoundingClientRect();
        const scrolls = element instanceof HTMLElement && element.scrollWidth > element.clientWidth + 1;
        return left < -0.5 || right > innerWidth + 0.5 || (scrolls && element.clientWidth > 0);
      })
      .map(name),
    // A chart is a labelled picture with lines in it.
    charts: [...document.querySelectorAll('svg[role="img"]')].map((chart) => {
      const { width, height } = chart.getBoundingClientRect();
      return {
        name: chart.getAttribute('aria-label'),
        width,
        height,
        ticks: chart.querySelectorAll('text').length,
        lines: chart.querySelectorAll('polyline').length,
      };
    }),
    faint: [...document.querySelectorAll('polyline')].flatMap((line) => {
      const { stroke, fill, opacity } = getComputedStyle(line);
      const drawn = [stroke, fill].filter((color) => color !== 'none');
      const background = backgroundOf(line.closest('figure'));
      return drawn
        .map((color) => ({ line: line.className.baseVal, ratio: contrast(color, background), opacity }))
        .filter(({ ratio, opacity }) => ratio < 3 || opacity !== '1');
    }),
  };
}

const backgrounds = new Map();
try {
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1200, 390]) {
      const context = await browser.newContext({
        colorScheme,
        offline: true,
        viewport: { width, height: 900 },
      });
      const tab = await context.newPage();
      const asked = [];
      const said = [];
      tab.on('request', (request) => asked.push(request.url()));
      tab.on('console', (message) => said.push(message.text()));
      tab.on('pageerror', (error) => said.push(String(error)));
      await tab.goto(url);
      assert.deepEqual(asked, [url], 'the page asks for nothing');
      assert.deepEqual(said, [], 'the page has nothing to complain of');

      const seen = await tab.evaluate(look);
      assert.equal(seen.scripts, 0);
      assert.equal(seen.title, 'Verified: load test of 400 sign-ups');
      assert.ok(seen.text.startsWith('Verified: '), seen.text);
      // The answer, the reason, the charts, the figures, and how the run was made.
      const order = [
        'Verified: ',
        'quota.user_update',
        '400 of 400 sign-ups',
        'Throughput',
        'Queue depth',
        'p99',
        'Planned',
        'usher load run',
        'quota.user_update',
      ];
      let from = 0;
      for (const part of order) {
        const at = seen.text.toLowerCase().indexOf(part.toLowerCase(), from);
        assert.ok(at >= 0, `${part} is not in: ${seen.text.slice(from)}`);
        from = at + part.length;
      }
      assert.ok(!seen.text.includes('/metrics'), 'no URL of a worker');

      assert.ok(seen.overflow <= 0, `${seen.overflow} px too wide at ${width}`);
      assert.deepEqual(seen.cut, [], `cut off at ${width} px`);
      assert.equal(seen.charts.length, 2);
      for (const chart of seen.charts) {
        const { name, lines, ticks } = chart;
        assert.ok(name && chart.width > 200 && chart.height > 80 && lines >= 2 && ticks > 5, name);
      }
      assert.equal(seen.charts[0].lines, 3, 'sent, provisioned and allowed');
      assert.deepEqual(seen.faint, [], 'lines with less than 3:1');
      backgrounds.set(colorScheme, seen.background);
      const picture = `${dirname(page)}/report-${colorScheme}-${width}.png`;
      await tab.screenshot({ path: picture, fullPage: true });
      await context.close();
      console.log(`ok    ${colorScheme}, ${width} px: ${seen.charts.length} charts`);
    }
  }
  assert.notEqual(backgrounds.get('light'), backgrounds.get('dark'));
} finally {
  await browser.close();
}
