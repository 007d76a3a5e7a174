// Lines for `usher dead-letters import`: dead letters with several reasons, and hostile text.

const count = Number(process.env.DEAD_LETTERS);
const hostile = '<script>alert("console")</script><img src=x onerror=alert(1)>';
const reasons = [
  ['user_not_found', 'not_yet', 'AdminAddUserToGroup: user not found'],
  ['throttled', 'throttled', 'AdminAddUserToGroup: too many requests'],
  ['group_not_found', 'permanent', 'the group STAFF-EUROPE does not exist'],
  ['not_json', 'malformed', 'expected value at line 1 column 1'],
  [hostile, 'permanent', `${hostile} ${'long '.repeat(60)}`],
];

for (let at = 0; at < count; at += 1) {
  // Most have the first reasons.
  const [reason, kind, error] = reasons[at % 97 ? Math.floor((at % 20) / 6) : 4];
  const body = {
    triggerSource: 'PostConfirmation_ConfirmSignUp',
    userPoolId: process.env.POOL,
    userName: `gone-${at}`,
    request: {
      userAttributes: {
        sub: `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`,
        email: `gone-${at}@example.com`,
      },
    },
  };
  const time = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  console.log(
    JSON.stringify({
      body: JSON.stringify(body),
      attributes: {
        'usher.reason': reason,
        'usher.class': kind,
        'usher.error': error,
        'usher.attempts': '8',
        'usher.first_received_at': time(at + 30),
        'usher.dead_lettered_at': time(at),
        'usher.version': '0.1.0',
      },
    }),
  );
}
