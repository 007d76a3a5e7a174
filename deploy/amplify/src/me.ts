// For the user who signed up, or got a group a moment ago.
import { fetchAuthSession } from "aws-amplify/auth";
import { generateClient } from "aws-amplify/data";
import type { Schema } from "../amplify/data/resource";

const client = generateClient<Schema>();

export type Profile = Schema["UserProfile"]["type"];

/** The user's own profile; null until the worker has written it. */
export async function profile(): Promise<Profile | null> {
  const id = (await fetchAuthSession()).userSub;
  if (!id) {
    return null;
  }
  // get and not list: a list reads the first hundred records of the whole table
  // and then drops those of other users.
  const { data, errors } = await client.models.UserProfile.get(
    { id },
    { authMode: "userPool" },
  );
  const error = errors?.[0];
  if (error) {
    throw new Error(`${error.errorType}: ${error.message}`);
  }
  return data;
}

/**
 * Whether the user's token has the group; fetches a few new tokens until it has.
 *
 * A token keeps the groups of the time when it was issued, so only a new token shows
 * a new group.
 */
export async function hasGroup(group: string, tries = 5): Promise<boolean> {
  for (let pause = 1000; ; pause *= 2) {
    const { tokens } = await fetchAuthSession({ forceRefresh: true });
    const groups = tokens?.accessToken.payload["cognito:groups"];
    if (Array.isArray(groups) && groups.includes(group)) {
      return true;
    }
    if (--tries <= 0) {
      return false;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
