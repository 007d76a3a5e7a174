// The record that usher writes for a user, as DynamoDB types it.

import assert from 'node:assert/strict';

export function assertProfile(user, item) {
  const createdAt = item?.createdAt?.S;
  assert.match(createdAt ?? 'absent', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(item, {
    id: { S: user.sub },
    __typename: { S: 'UserProfile' },
    profileOwner: { S: `${user.sub}::${user.name}` },
    ...(user.email && { email: { S: user.email } }),
    createdAt: { S: createdAt },
    updatedAt: { S: createdAt },
  });
}
