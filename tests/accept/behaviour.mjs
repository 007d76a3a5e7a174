// The page with each response, as a user sees it.

import assert from 'node:assert/strict';

import { serve } from './server.mjs';
import {
  ASKED,
  BRAND,
  browser,
  CODE,
  CONTACT,
  field,
  focused,
  LINK,
  NEEDED,
  OK,
  PASSWORD,
  problem,
  REFUSED,
  RULES,
  send,
  sent,
  stage,
} from './stage.mjs';
import { change, outcome, submit, type } from './steps.mjs';

export const checks = {};

checks['the link fills the form, and leaves address bar and history'] = () =>
  stage({ answers: [OK] }, async (tab, server) => {
    assert.equal(tab.url(), `${server.base}/accept`);
    assert.equal(await field(tab, 'User name').inputValue(), 'jürgen@example.com');
    assert.equal(await field(tab, 'Code').inputValue(), CODE);
    assert.equal(await focused(tab), 'password');
    assert.match(await tab.locator('#from-link').innerText(), /Invitation for\s+jürgen@example\.com\s+Change/);
    assert.ok(await field(tab, 'User name').isHidden());
    assert.ok(await field(tab, 'Code').isHidden());
    await change(tab);
    assert.equal(await focused(tab), 'username');
    assert.ok(await tab.locator('#from-link').isHidden());
    assert.match(await tab.locator('#code-hint').innerText(), /^Filled in from your link\./);
    assert.equal(await tab.locator('#code').getAttribute('aria-describedby'), 'code-hint');
    for (const label of ['User name', 'Code', 'New password']) {
      assert.ok(await field(tab, label).isEditable());
    }
    assert.equal(await tab.evaluate(() => history.length), 2, 'about:blank and the page');
  });

checks['accepted, without a link to the app'] = () =>
  stage({ answers: [OK] }, async (tab, server) => {
    const said = await send(tab);
    assert.match(said, /Your account is ready[^]*user name is jürgen@example\.com/);
    assert.match(said, /close this page and sign in where you usually do[^]*contact the people who invited you\.$/);
    assert.equal(await tab.locator('#accepted a[href]').count(), 0);
    assert.deepEqual(sent(server), {
      username: 'jürgen@example.com',
      code: CODE,
      password: PASSWORD,
      attributes: {},
    });
    const [post] = server.posts();
    assert.equal(post.path, '/accept');
    assert.equal(
      post.headers[post.headers.findIndex((name) => /^content-type$/i.test(name)) + 1],
      'application/json',
    );
    assert.equal(await focused(tab), 'Your account is ready');
    const values = await tab.locator('input').evaluateAll((inputs) => inputs.map((input) => input.value));
    assert.deepEqual(values, ['', '', ''], 'nothing stays in the page');
  });

checks['accepted, with a contact and no link to the app'] = () =>
  stage({ answers: [OK], contact: CONTACT }, async (tab) => {
    assert.match(await send(tab), /If you do not know where, contact help@example\.com\.$/);
    assert.equal(await tab.locator('#accepted a.contact').getAttribute('href'), CONTACT);
    assert.ok(await tab.locator('#contact').isHidden(), 'named once');
  });

checks['accepted, with a link to the app'] = async () => {
  const elsewhere = await serve();
  try {
    await stage({ answers: [OK], done: `${elsewhere.base}/welcome?a=1&b="x"` }, async (tab) => {
      assert.match(await send(tab), /Your account is ready/);
      assert.equal(await tab.locator('#done-host').innerText(), new URL(elsewhere.base).host);
      const link = tab.getByRole('link', { name: 'Continue' });
      assert.equal(await link.getAttribute('href'), `${elsewhere.base}/welcome?a=1&b=%22x%22`);
      const colours = await link.evaluate((button) => {
        const { color, backgroundColor } = getComputedStyle(button);
        return [color, backgroundColor];
      });
      assert.deepEqual(colours, ['rgb(255, 255, 255)', 'rgb(31, 95, 184)']);
      await tab.waitForURL('**/welcome?*');
      assert.equal(await tab.title(), 'Welcome');
      assert.equal(await tab.evaluate(() => document.referrer), '');
      assert.equal(await tab.evaluate(() => history.length), 2, 'it took the place of the page');
    });
  } finally {
    await elsewhere.stop();
  }
};

checks['attributes are asked for, and nothing is lost'] = () =>
  stage(
    {
      answers: [
        NEEDED,
        problem(409, 'attributes_needed', { attributes: ['email', 'custom:plan'] }),
        problem(422, 'attribute_refused', { attributes: ['phone_number'] }),
        problem(422, 'attribute_refused', { attributes: [] }),
        problem(422, 'invalid', { field: 'attributes' }),
        OK,
      ],
    },
    async (tab, server) => {
      assert.match(await send(tab), /More details are needed/);
      assert.equal(await focused(tab), 'attribute-0');
      const types = {
        'First name': 'text',
        'Date of birth': 'date',
        'Phone number': 'tel',
        'Cost centre no': 'text',
      };
      for (const [label, type] of Object.entries(types)) {
        assert.equal(await field(tab, label).getAttribute('type'), type);
      }
      assert.equal(await field(tab, 'First name').getAttribute('autocomplete'), 'given-name');
      await type(tab, 'First name', ' Jürgen ');
      await type(tab, 'Date of birth', '1990-02-28');
      await type(tab, 'Phone number', '+49 (30) 123-456');
      await submit(tab);
      assert.equal(await focused(tab), 'attribute-3', 'the one that is empty');
      assert.equal(server.posts().length, 1, 'what is empty is not sent');
      await type(tab, 'Cost centre no', 'Straße 7');
      await submit(tab);
      await tab.getByLabel('E-mail address').waitFor();
      assert.equal(await field(tab, 'E-mail address').getAttribute('type'), 'email');
      await type(tab, 'E-mail address', 'j@example.com');
      await type(tab, 'Plan', 'pro');
      await submit(tab);
      await tab.locator('#attribute-2[aria-invalid=true]').waitFor();
      assert.equal(await focused(tab), 'attribute-2');
      await type(tab, 'Phone number', '+49 30 1234567');
      assert.equal(await tab.locator('[aria-invalid]').count(), 0, 'a mark goes when its field changes');
      await submit(tab);
      await tab.getByText('Look through them').waitFor();
      await submit(tab);
      await tab.getByText('Look through them').waitFor();
      await submit(tab);
      await tab.getByRole('heading', { name: 'Your account is ready' }).waitFor();
      assert.deepEqual(sent(server, 5), {
        username: 'jürgen@example.com',
        code: CODE,
        password: PASSWORD,
        attributes: {
          given_name: 'Jürgen',
          birthdate: '1990-02-28',
          phone_number: '+49301234567',
          'custom:costCentre_no': 'Straße 7',
          email: 'j@example.com',
          'custom:plan': 'pro',
        },
      });
    },
  );

checks['attributes of any name'] = () =>
  stage(
    {
      answers: [
        problem(409, 'attributes_needed', {
          attributes: ['__proto__', 'constructor', 'custom:', '<b>', 'custom:VATNumber'],
        }),
      ],
    },
    async (tab, server) => {
      await send(tab);
      const labels = await tab.locator('#attributes label').allInnerTexts();
      assert.deepEqual(labels, ['Proto', 'Constructor', 'custom:', '<b>', 'VAT number']);
      for (const label of labels) await type(tab, label, label);
      await submit(tab);
      await tab.waitForFunction(() => !document.querySelector('[aria-disabled]'));
      assert.ok(server.posts().at(-1).body.includes('"__proto__":"Proto"'));
    },
  );

checks['every standard attribute has its own label'] = () => {
  const names = [
    'name',
    'given_name',
    'middle_name',
    'family_name',
    'nickname',
    'preferred_username',
    'email',
    'phone_number',
    'birthdate',
    'gender',
    'address',
    'locale',
    'zoneinfo',
    'website',
    'profile',
    'picture',
  ];
  return stage({ answers: [problem(409, 'attributes_needed', { attributes: names })] }, async (tab) => {
    await send(tab);
    const labels = await tab.locator('#attributes label').allInnerTexts();
    assert.equal(new Set(labels).size, names.length);
    assert.ok(labels.every((label) => !label.includes('_')));
    const types = await tab
      .locator('#attributes input')
      .evaluateAll((inputs) => inputs.map((input) => input.type));
    assert.deepEqual(types, [
      'text',
      'text',
      'text',
      'text',
      'text',
      'text',
      'email',
      'tel',
      'date',
      'text',
      'text',
      'text',
      'text',
      'url',
      'url',
      'url',
    ]);
  });
};

checks['user name or code is not right'] = () =>
  stage(
    { answers: [problem(403, 'not_accepted'), OK], done: 'https://app.example.com/', contact: CONTACT },
    async (tab, server) => {
      assert.match(await send(tab), /do not match[^]*already\? Sign in\.[^]*Ask for a new code/);
      assert.equal(await focused(tab), 'message');
      for (const id of ['username', 'code']) {
        assert.equal(await tab.locator(`#${id}`).getAttribute('aria-invalid'), 'true');
        assert.match(await tab.locator(`#${id}-wrong`).innerText(), /^Compare it with your mail/);
      }
      assert.equal(await tab.locator('#code').getAttribute('aria-describedby'), 'code-hint code-wrong');
      const ask = tab.getByRole('button', { name: 'Ask for a new code' });
      assert.ok((await ask.boundingBox()).height >= 44);
      assert.equal(await tab.locator('#message a').getAttribute('href'), 'https://app.example.com/');
      await type(tab, 'Code', ' other ');
      await submit(tab);
      await tab.getByRole('heading', { name: 'Your account is ready' }).waitFor();
      assert.equal(sent(server, 1).code, 'other');
      assert.equal(sent(server, 1).password, PASSWORD);
    },
  );

checks['an expired code, and asking for a new one'] = () =>
  stage({ answers: [problem(410, 'expired'), ASKED, OK], contact: CONTACT }, async (tab, server) => {
    assert.match(await send(tab), /has expired/);
    await tab.getByRole('button', { name: 'Ask for a new code' }).click();
    await tab.getByRole('heading', { name: 'request was recorded' }).waitFor();
    assert.equal(server.posts()[1].path, '/accept/renewal');
    assert.deepEqual(sent(server, 1), { username: 'jürgen@example.com' });
    const said = await tab.locator('#asked').innerText();
    assert.match(said, /If no mail comes within a day, contact help@example\.com\./);
    assert.doesNotMatch(said, /told/);
    assert.equal(await tab.locator('#asked a').getAttribute('href'), CONTACT);
    await tab.getByRole('button', { name: 'Back to the form' }).click();
    assert.equal(await focused(tab), 'password');
    assert.equal(await field(tab, 'New password').inputValue(), PASSWORD);
    await submit(tab);
    await tab.getByRole('heading', { name: 'Your account is ready' }).waitFor();
  });

checks['asking for a new code needs a user name, and may fail'] = () =>
  stage(
    {
      answers: [
        problem(410, 'expired'),
        { ...problem(429, 'too_many_requests'), headers: { 'Retry-After': '7' } },
        problem(503, 'unavailable'),
        { cut: true },
        problem(422, 'invalid', { field: 'username' }),
        ASKED,
      ],
    },
    async (tab, server) => {
      await send(tab);
      await change(tab);
      await type(tab, 'User name', '');
      const ask = tab.getByRole('button', { name: 'Ask for a new code' });
      await ask.click();
      assert.equal(await focused(tab), 'username');
      assert.equal(server.posts().length, 1);
      await type(tab, 'User name', 'ada');
      for (const said of ['in 7 seconds', 'busy or not available', 'There was no answer']) {
        await ask.click();
        await tab.getByText(said).waitFor();
      }
      await ask.click();
      await tab.getByText('value is not accepted').waitFor();
      assert.equal(await focused(tab), 'username');
      await ask.click();
      await tab.getByRole('heading', { name: 'request was recorded' }).waitFor();
      assert.match(await tab.locator('#asked').innerText(), /within a day, contact the people who invited you\./);
      assert.equal(await tab.locator('#asked a[href]').count(), 0);
      assert.deepEqual(sent(server, 5), { username: 'ada' });
    },
  );

checks['the page says what a password lacks'] = () =>
  stage(
    {
      answers: [
        REFUSED,
        problem(422, 'password_refused', { lacks: ['number'] }),
        problem(422, 'password_refused', { lacks: [] }),
        problem(422, 'password_refused', { lacks: ['?', '__proto__'] }),
        problem(422, 'password_refused', { lacks: ['not_compromised'] }),
        OK,
      ],
    },
    async (tab) => {
      const wrong = tab.locator('#password-wrong');
      await send(tab);
      assert.deepEqual(await wrong.locator('li').allInnerTexts(), [
        'more characters',
        'an uppercase letter (A–Z)',
        'a lowercase letter (a–z)',
        'a number (0–9)',
        'a symbol, such as ! ? - or %',
        'a password that you have not had before',
      ]);
      assert.equal(await focused(tab), 'password');
      assert.equal(await tab.locator('#password').getAttribute('aria-describedby'), 'password-wrong');
      for (const said of [
        /^Use a number \(0–9\)\.$/,
        /^Use a longer password, with/,
        /^Use a longer password, with/,
        /^Use a password that is not on a list of stolen ones\.$/,
      ]) {
        assert.match(await send(tab), said);
      }
      assert.match(await send(tab), /Your account is ready/);
    },
  );

checks['the rules of the pool are shown before and after a refusal'] = () =>
  stage(
    {
      ...RULES,
      answers: [
        problem(422, 'password_refused', { lacks: ['length'] }),
        problem(422, 'password_refused', { lacks: ['length', 'number'] }),
        problem(422, 'password_refused', { lacks: [] }),
        OK,
      ],
    },
    async (tab) => {
      const rules = 'least 12 characters, with an uppercase letter, a lowercase letter, a number and a symbol.';
      assert.equal(await tab.locator('#password-hint').innerText(), `At ${rules}`);
      assert.equal(await tab.locator('#password').getAttribute('aria-describedby'), 'password-hint');
      const wrong = tab.locator('#password-wrong');
      await send(tab);
      assert.equal(await wrong.innerText(), 'Use at least 12 characters.');
      const described = await tab.locator('#password').getAttribute('aria-describedby');
      assert.equal(described, 'password-hint password-wrong');
      await send(tab);
      assert.deepEqual(await wrong.locator('li').allInnerTexts(), ['at least 12 characters', 'a number (0–9)']);
      await send(tab);
      assert.equal(await wrong.innerText(), `Use at ${rules}`);
      assert.match(await send(tab), /Your account is ready/);
    },
  );

checks['rules of every kind of pool make a sentence'] = async () => {
  for (const [minLength, required, said] of [
    ['6', '', 'At least 6 characters.'],
    ['8', 'number', 'At least 8 characters, with a number.'],
    ['8', 'lowercase unheard_of number', 'At least 8 characters, with a lowercase letter and a number.'],
    ['', 'number', ''],
    ['', '', ''],
  ]) {
    await stage({ answers: [OK], minLength, required }, async (tab) => {
      const hint = tab.locator('#password-hint');
      assert.equal(await hint.textContent(), said);
      assert.equal(await hint.isHidden(), !said);
    });
  }
};

checks['the page says who invites'] = async () => {
  for (const brand of [BRAND, '<b>"A & B"</b>']) {
    await stage({ answers: [OK], brand }, async (tab) => {
      assert.equal(await tab.locator('#brand').innerText(), brand);
      assert.equal(await tab.title(), `Accept your invitation · ${brand}`);
      await send(tab);
      assert.ok(await tab.locator('#brand').isVisible());
      assert.equal(await tab.title(), `Your account is ready · ${brand}`);
    });
  }
  await stage({ answers: [OK] }, async (tab) => {
    assert.ok(await tab.locator('#brand').isHidden());
    assert.equal(await tab.title(), 'Accept your invitation');
  });
};

checks['a space at an end of the password is an error, and nothing is sent'] = () =>
  stage({ answers: [problem(422, 'password_refused', { lacks: ['no_space_at_ends'] }), OK] }, async (tab, server) => {
    const said = /^Use no space at the beginning or the end\.$/;
    for (const password of [`${PASSWORD} `, ` ${PASSWORD}`]) {
      await type(tab, 'New password', password);
      await submit(tab);
      assert.match(await outcome(tab), said);
      assert.equal(await focused(tab), 'password');
      assert.equal(await field(tab, 'New password').inputValue(), password, 'it stays as it was typed');
    }
    assert.equal(server.posts().length, 0);
    assert.match(await send(tab), said);
    assert.match(await send(tab), /Your account is ready/);
  });

checks['an error of the deployment is not called a mistake of the user'] = () => {
  const cases = [
    [problem(503, 'misconfigured'), /cannot be set up now[^]*not your mistake/],
    [problem(409, 'alias_exists'), /Another user has this e-mail address or phone number/],
    [{ ...problem(503, 'busy'), headers: { 'Retry-After': '5' } }, /busy or not available[^]*in 5 seconds/],
  ];
  return stage({ answers: cases.map(([answer]) => answer) }, async (tab) => {
    for (const [, said] of cases) {
      const text = await send(tab);
      assert.match(text, said);
      assert.doesNotMatch(text, /not accepted|do not match|Too many attempts|Ask for a new code/);
    }
  });
};

checks['an invisible character is reported with its place, and not sent'] = () =>
  stage(
    {
      answers: [problem(409, 'attributes_needed', { attributes: ['given_name', 'locale', 'custom:note'] }), OK],
    },
    async (tab, server) => {
      const said = async (id, place) => {
        const text = await tab.locator(`#${id}-wrong`).innerText();
        assert.match(text, new RegExp(`Character ${place} is invisible`));
      };
      await change(tab);
      await type(tab, 'New password', PASSWORD);
      for (const unseen of ['\u200b', '\u00ad', '\u200c', '\u200d', '\u00a0', '\u2028', '\u3000', '\ue000']) {
        await type(tab, 'User name', ` jürgen@${unseen}example.com`);
        await type(tab, 'Code', `${CODE}${unseen}x`);
        await submit(tab);
        assert.equal(await focused(tab), 'username');
        await said('username', 8);
        await said('code', [...CODE].length + 1);
      }
      assert.equal(server.posts().length, 0);
      // At the ends they are not sent.
      await type(tab, 'User name', 'jürgen@example.com\u00a0');
      await type(tab, 'Code', `\u3000${CODE}`);
      await submit(tab);
      // The joiner of a Persian name is a part of it, and a custom attribute may hold everything.
      await type(tab, 'First name', 'می\u200cنا');
      await type(tab, 'Note', 'a\u200b\u200eb');
      await type(tab, 'Language', 'de\u200b-DE');
      await submit(tab);
      await said('attribute-1', 3);
      assert.equal(await tab.locator('[aria-invalid]').count(), 1);
      await type(tab, 'Language', 'de-DE');
      assert.match(await send(tab), /Your account is ready/);
      assert.deepEqual(sent(server, 1), {
        username: 'jürgen@example.com',
        code: CODE,
        password: PASSWORD,
        attributes: { given_name: 'می\u200cنا', locale: 'de-DE', 'custom:note': 'a\u200b\u200eb' },
      });
    },
  );

checks['a space in a code is a part of it'] = () =>
  stage({ answers: [OK] }, async (tab, server) => {
    await change(tab);
    await type(tab, 'Code', 'two words-1');
    assert.match(await send(tab), /Your account is ready/);
    assert.equal(sent(server).code, 'two words-1');
  });

checks['an error mark disappears when the form is sent again'] = () => {
  const answers = [problem(422, 'invalid', { field: 'code' }), problem(422, 'password_refused'), problem(503, 'busy')];
  return stage({ answers }, async (tab) => {
    assert.match(await send(tab), /value is not accepted/);
    assert.equal(await focused(tab), 'code');
    await submit(tab);
    await tab.locator('#password-wrong').waitFor();
    assert.equal(await tab.locator('[aria-invalid]').count(), 1);
    await submit(tab);
    await tab.locator('#message').waitFor();
    assert.equal(await tab.locator('[aria-invalid]').count(), 0);
  });
};

checks['a temporary failure loses no input'] = () => {
  const cases = [
    [problem(409, 'try_again'), /did not work\./],
    [problem(408, 'body_timeout'), /did not work\./],
    [
      { ...problem(429, 'too_many_requests'), headers: { 'Retry-After': '1' } },
      /Too many attempts[^]*in 1 second\./,
    ],
    [{ ...problem(429, 'too_many_requests'), headers: { 'Retry-After': '600' } }, /in 10 minutes\./],
    [problem(429, 'too_many_requests'), /in a minute\./],
    [
      { status: 429, body: 'slow down', headers: { 'Retry-After': 'Fri, 31 Dec 2027 23:59:59 GMT' } },
      /in a minute\./,
    ],
    [problem(503, 'unavailable'), /busy or not available/],
    [{ status: 502, body: '<h1>Bad gateway</h1>' }, /busy or not available/],
    [problem(500, 'unforeseen'), /Something went wrong/],
    [{ status: 500, body: 'null' }, /Something went wrong/],
    [{ status: 200, body: '{"status":' }, /Something went wrong/],
    [{ status: 409, body: { code: 'attributes_needed' } }, /Something went wrong/],
    [{ status: 307, body: '', headers: { Location: '/elsewhere' } }, /There was no answer/],
    [{ cut: true }, /There was no answer/],
  ];
  return stage({ answers: [...cases.map(([answer]) => answer), OK] }, async (tab, server) => {
    await type(tab, 'New password', PASSWORD);
    for (const [, said] of cases) {
      await submit(tab);
      assert.match(await outcome(tab), said);
      assert.equal(await focused(tab), 'message');
      assert.equal(await field(tab, 'New password').inputValue(), PASSWORD);
    }
    await submit(tab);
    assert.match(await outcome(tab), /Your account is ready/);
    const bodies = new Set(server.posts().map(({ body }) => body));
    assert.equal(bodies.size, 1, 'the same is sent each time');
  });
};

checks['no response within 30 seconds'] = () =>
  stage(
    { answers: [{ ...OK, after: new Promise(() => {}) }, OK], prepare: (tab) => tab.clock.install() },
    async (tab, server) => {
      await type(tab, 'New password', PASSWORD);
      await Promise.all([tab.waitForRequest('**/accept'), submit(tab)]);
      await tab.clock.fastForward(29_000);
      assert.ok(await tab.getByRole('button', { name: 'One moment' }).isVisible());
      await tab.clock.fastForward(1_001);
      assert.match(await outcome(tab), /There was no answer/);
      await submit(tab);
      assert.match(await outcome(tab), /Your account is ready/);
    },
  );

checks['a double click and later clicks send once'] = async () => {
  let release;
  const after = new Promise((resolve) => (release = resolve));
  await stage({ answers: [{ ...problem(410, 'expired'), after }, ASKED] }, async (tab, server) => {
    await type(tab, 'New password', PASSWORD);
    const button = tab.locator('#submit');
    await button.dblclick();
    await button.click({ force: true });
    await field(tab, 'New password').press('Enter');
    assert.equal(await button.getAttribute('aria-disabled'), 'true');
    assert.equal(await button.innerText(), 'One moment…');
    release();
    await outcome(tab);
    assert.equal(server.posts().length, 1);
    await tab.getByRole('button', { name: 'Ask for a new code' }).dblclick();
    await tab.locator('#asked').waitFor();
    assert.equal(server.posts().length, 2);
  });
};

checks['the page works with only the keyboard'] = () =>
  stage({ answers: [problem(410, 'expired'), ASKED, REFUSED, OK] }, async (tab, server) => {
    const press = (key) => tab.keyboard.press(key);
    await press('Shift+Tab');
    assert.equal(await focused(tab), 'change');
    await press('Enter');
    assert.equal(await focused(tab), 'username');
    await press('Tab');
    assert.equal(await focused(tab), 'code');
    await press('Tab');
    await tab.keyboard.type('Ada');
    await press('Tab');
    assert.equal(await focused(tab), 'reveal');
    await press('Space');
    assert.equal(await tab.locator('#password').getAttribute('type'), 'text');
    assert.ok(await tab.getByRole('button', { name: 'Hide password' }).isVisible());
    await press('Tab');
    assert.equal(await focused(tab), 'submit');
    await press('Enter');
    await outcome(tab);
    assert.equal(await tab.locator('#password').getAttribute('type'), 'password', 'hidden when it is sent');
    assert.equal(await focused(tab), 'message');
    await press('Tab');
    await press('Enter');
    await tab.locator('#asked').waitFor();
    assert.equal(await focused(tab), 'Your request was recorded');
    await press('Tab');
    await press('Space');
    assert.equal(await focused(tab), 'password');
    await press('Enter');
    await tab.locator('#password-wrong').waitFor();
    assert.equal(await focused(tab), 'password');
    await tab.keyboard.type('Lovelace');
    await press('Enter');
    await tab.locator('#accepted').waitFor();
    assert.equal(sent(server, 3).password.length, 11);
  });

checks['without a link the fields are empty, and must be filled'] = () =>
  stage({ link: '/accept', answers: [OK] }, async (tab, server) => {
    assert.equal(await focused(tab), 'username');
    assert.match(await tab.locator('#lead').innerText(), /^Enter the user name and code from your invitation mail/);
    assert.ok(await tab.locator('#from-link').isHidden());
    assert.ok(await tab.locator('#code-hint').isHidden());
    await submit(tab);
    assert.deepEqual(await tab.locator('.wrong').allInnerTexts(), [
      'Enter your user name.',
      'Enter the code from your mail.',
      'Enter a password.',
    ]);
    assert.equal(await tab.locator('[aria-invalid=true]').count(), 3);
    assert.equal(await focused(tab), 'username');
    await type(tab, 'User name', '  ada ');
    await type(tab, 'Code', `${CODE}\n`);
    await submit(tab);
    assert.equal(await focused(tab), 'password');
    assert.equal(server.posts().length, 0);
    assert.match(await send(tab), /Your account is ready/);
    assert.deepEqual(sent(server), { username: 'ada', code: CODE, password: PASSWORD, attributes: {} });
  });

checks['a link without a code asks for it'] = () =>
  stage({ link: '/accept#u=ada', answers: [OK] }, async (tab) => {
    assert.equal(await focused(tab), 'code');
    assert.equal(await field(tab, 'User name').inputValue(), 'ada');
    assert.match(await tab.locator('#lead').innerText(), /^Enter the user name and code/);
  });

checks['an error of a field that the link filled shows the field'] = () =>
  stage({ link: '/accept#u=ada&c=a\u200bb', answers: [OK] }, async (tab, server) => {
    assert.ok(await field(tab, 'Code').isHidden());
    assert.match(await send(tab), /Character 2 is invisible/);
    assert.equal(await focused(tab), 'code');
    assert.equal(server.posts().length, 0);
  });

checks['another link in the same tab starts again'] = () =>
  stage({ answers: [problem(403, 'not_accepted')] }, async (tab, server) => {
    await send(tab);
    await Promise.all([
      tab.waitForEvent('load'),
      tab
        .goto(`${server.base}/accept#u=ada&c=New%21`)
        .catch((error) => assert.match(String(error), /interrupted|ABORTED/)),
    ]);
    await tab.locator('#invitation').waitFor();
    assert.equal(await field(tab, 'Code').inputValue(), 'New!');
    assert.equal(await field(tab, 'New password').inputValue(), '');
    assert.equal(tab.url(), `${server.base}/accept`);
  });

checks['after leaving and returning the page holds no secret'] = () =>
  stage({ answers: [OK] }, async (tab, server) => {
    await type(tab, 'New password', PASSWORD);
    await tab.goto(`${server.base}/welcome`);
    await tab.goBack();
    await tab.locator('#invitation').waitFor();
    assert.equal(await field(tab, 'Code').inputValue(), '');
    assert.equal(await field(tab, 'New password').inputValue(), '');
    assert.ok(await field(tab, 'Code').isVisible());
  });

checks['only web and mail addresses become links'] = async () => {
  for (const contact of [
    '',
    'javascript:alert(1)',
    'data:text/html,x',
    'help@example.com',
    '//example.com',
    '{{contact}}',
  ]) {
    await stage({ answers: [OK], contact, done: contact || 'mailto:x@example.com' }, async (tab) => {
      assert.ok(await tab.locator('#contact').isHidden(), contact);
      assert.match(await send(tab), /sign in where you usually do/);
      assert.equal(await tab.locator('a[href]').count(), 0);
    });
  }
  await stage({ answers: [OK], contact: `https://help.example.com/a?b="c"&d='e'` }, async (tab) => {
    const link = tab.locator('#contact a');
    assert.equal(await link.innerText(), 'help.example.com/a');
    assert.equal(await link.getAttribute('href'), 'https://help.example.com/a?b=%22c%22&d=%27e%27');
  });
};

checks['without JavaScript the page says what to do'] = async () => {
  const server = await serve({ brand: BRAND });
  const context = await browser.newContext({ javaScriptEnabled: false });
  try {
    const tab = await context.newPage();
    await tab.goto(server.base + LINK);
    assert.match(await tab.locator('body').innerText(), /Example Library[^]*needs JavaScript/);
    assert.ok(await tab.locator('form').isHidden());
    assert.equal(await tab.locator('[name]:not(meta)').count(), 0, 'no field would be sent');
  } finally {
    await context.close();
    await server.stop();
  }
};

checks['every field and button has a name'] = () =>
  stage({ answers: [NEEDED] }, async (tab) => {
    await send(tab);
    const snapshot = await tab.locator('main').ariaSnapshot();
    for (const line of snapshot.split('\n').filter((line) => /- (textbox|button|link)/.test(line))) {
      assert.match(line, /- (textbox|button|link) "[^"]+"/);
    }
    for (const [label, autocomplete] of [
      ['User name', 'username'],
      ['Code', 'one-time-code'],
      ['New password', 'new-password'],
    ]) {
      assert.equal(await field(tab, label).getAttribute('autocomplete'), autocomplete);
    }
  });
