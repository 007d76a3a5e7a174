// The report of a load test, as a reader sees it: in both themes, wide and narrow,
// without a network. Leaves a picture of each beside the page.

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

      const seen = await tab.evaluate(() => ({
        background: getComputedStyle(document.body).backgroundColor,
        overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        verdict: document.body.innerText.includes('Verified'),
        // A plot is a labelled picture with something drawn in it.
        plots: [...document.querySelectorAll('svg[role="img"]')].map((plot) => {
          const { width, height } = plot.getBoundingClientRect();
          const marks = plot.querySelectorAll('path, polyline, rect, line').length;
          return { name: plot.getAttribute('aria-label'), width, height, marks };
        }),
      }));
      assert.ok(seen.verdict);
      assert.ok(seen.overflow <= 0, `${seen.overflow} px too wide at ${width}`);
      assert.ok(seen.plots.length >= 5, `${seen.plots.length} plots`);
      for (const plot of seen.plots) {
        assert.ok(plot.name && plot.width > 200 && plot.height > 80 && plot.marks > 3, plot.name);
      }
      backgrounds.set(colorScheme, seen.background);
      const picture = `${dirname(page)}/report-${colorScheme}-${width}.png`;
      await tab.screenshot({ path: picture, fullPage: true });
      await context.close();
      console.log(`ok    ${colorScheme}, ${width} px: ${seen.plots.length} plots`);
    }
  }
  assert.notEqual(backgrounds.get('light'), backgrounds.get('dark'));
} finally {
  await browser.close();
}
