// The mails that cognito-local prints instead of sending them, each in a box on its
// log. It fills in only the first `{username}` and the first `{####}` of a mail,
// which are those of the link.

import { readFileSync } from 'node:fs';

export function mailsTo(address) {
  const log = readFileSync(`${process.env.E2E_WORK}/log/cognito-local.log`, 'utf8');
  return log
    .replace(/\x1b\[\d*m/g, '')
    .split('╭')
    .slice(1)
    .map((rest) => rest.split('╰')[0].replace(/^│ {3}(.*?) *│$/gm, '$1'))
    .map((mail) => ({
      to: mail.match(/^Destination: +(.*)$/m)?.[1],
      subject: mail.match(/^Email Subject: +(.*)$/m)?.[1],
      link: mail.match(/href="([^"]+)"/)?.[1].replaceAll('&#38;', '&'),
    }))
    .filter(({ to }) => to === address);
}
