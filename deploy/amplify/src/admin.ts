// For members of ADMINS. The app has called Amplify.configure(outputs) before.
import { generateClient } from "aws-amplify/data";
import type { Schema } from "../amplify/data/resource";

const client = generateClient<Schema>();

// The group of the caller is only in the token of the user pool:
// with the mode "iam" or "apiKey" no group arrives, and usher refuses the call.
const asUser = { authMode: "userPool" } as const;

/** Queued: a worker does it within seconds, and tries again when Cognito is busy. */
export interface Queued {
  status: "QUEUED";
  /** The id of this request in `requestStatus`, in log lines and in a dead letter. */
  requestId: string;
}

type Status = "QUEUED" | "DONE" | "FAILED";

/** What became of a request; operators can replay one that failed. */
export interface RequestState {
  requestId: string;
  status: Status;
  /** Why it failed, such as `user_not_found`. */
  reason?: string;
  /** Such as `AddUserToGroup`. */
  command: string;
  groups: string[];
  requestedAt: string;
  /** Oldest first. */
  transitions: { status: Status; at: string; reason?: string }[];
}

/** The server refused the request, and said why. */
export class Refused extends Error {
  constructor(
    message: string,
    /**
     * - `Unauthorized`: not an admin, or not a group that admins may give and take
     * - `BadRequest`: the arguments
     * - `Unavailable`: the queue could not be reached; worth another try
     * - anything else: AppSync's own types, and `Unknown` when there was no response
     */
    readonly type: string,
  ) {
    super(message);
    this.name = "Refused";
  }

  get retry(): boolean {
    return this.type === "Unavailable";
  }
}

/**
 * `userId` is the name of the user in the pool, an alias, or the `sub` of a user who is not
 * federated. A UUID must be the `sub`.
 */
export const addUserToGroup = async (userId: string, groupName: string): Promise<Queued> =>
  queued(await client.mutations.addUserToGroup({ userId, groupName }, asUser));

export const removeUserFromGroup = async (
  userId: string,
  groupName: string,
): Promise<Queued> =>
  queued(await client.mutations.removeUserFromGroup({ userId, groupName }, asUser));

export type Invitation = Omit<Schema["inviteUser"]["args"], "attributes"> & {
  /** Further attributes of the user, such as `{"custom:plan": "pro"}`. */
  attributes?: Record<string, string>;
};

export const inviteUser = async ({ attributes, ...rest }: Invitation): Promise<Queued> =>
  queued(
    await client.mutations.inviteUser(
      // AWSJSON is sent as text.
      { ...rest, attributes: attributes && JSON.stringify(attributes) },
      asUser,
    ),
  );

/** `null` if there is no such request, or it is older than 30 days. */
export const requestStatus = async (requestId: string): Promise<RequestState | null> =>
  read(await client.queries.requestStatus({ requestId }, asUser));

interface Answer {
  data: unknown;
  errors?: readonly { message: string; errorType?: string }[];
}

/** The client does not throw what the server refuses: it comes in `errors`. */
const queued = (answer: Answer) => read<Queued>(answer);

function read<Result>({ data, errors }: Answer): Result {
  const error = errors?.[0];
  if (error) {
    throw new Refused(error.message, typeOf(error));
  }
  // AWSJSON, again.
  return (typeof data === "string" ? JSON.parse(data) : data) as Result;
}

/**
 * AppSync is reported to send `Lambda:Unhandled` instead of a function's own type;
 * the message is always the function's, and begins with the type.
 */
function typeOf({ message, errorType = "Unknown" }: { message: string; errorType?: string }) {
  if (!errorType.startsWith("Lambda:")) {
    return errorType;
  }
  return /^(Unauthorized|BadRequest|Unavailable)\b/.exec(message)?.[0] ?? errorType;
}
