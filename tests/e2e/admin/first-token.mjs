// The groups of the first token. cognito-local calls the trigger at each sign-in, in
// this test too, but takes no groups from its answer and tells it none: so the event
// goes to the Lambda from here, as AWS makes it.

import assert from 'node:assert/strict';

import { check } from '../checks.mjs';
import { invoke } from './service.mjs';

export async function firstToken({ pool, uwe, stranger }) {
  const event = (version, details, userPoolId = pool.id) => ({
    version,
    triggerSource: 'TokenGeneration_Authentication',
    region: 'us-east-1',
    userPoolId,
    userName: uwe.name,
    callerContext: { awsSdkVersion: 'aws-sdk-unknown-unknown', clientId: pool.clientId },
    request: {
      userAttributes: { sub: uwe.sub, email: uwe.email },
      groupConfiguration: { groupsToOverride: ['OLD'], iamRolesToOverride: [], preferredRole: null },
    },
    response: { [details]: null },
  });

  await check('the first token gets the groups that the worker has yet to give', async () => {
    for (const [version, details] of [
      ['1', 'claimsOverrideDetails'],
      ['2', 'claimsAndScopeOverrideDetails'],
    ]) {
      const given = event(version, details);
      const { response, ...rest } = await invoke(given);
      assert.deepEqual({ ...rest, response: given.response }, given);
      assert.deepEqual(response[details].groupOverrideDetails, {
        groupsToOverride: ['OLD', 'EVERYONE'],
        iamRolesToOverride: [],
        preferredRole: null,
      });
    }
    const foreign = event('1', 'claimsOverrideDetails', stranger.pool.id);
    assert.deepEqual(await invoke(foreign), foreign);
  });
}
