import { type ClientSchema, a, defineData } from "@aws-amplify/backend";
import { usherTrigger } from "../functions/usher-trigger/resource";

const schema = a.schema({
  UserProfile: a
    .model({
      email: a.string(),
      // An owner who may write this field could give the record away.
      profileOwner: a
        .string()
        .authorization((allow) => [allow.ownerDefinedIn("profileOwner").to(["read"])]),
    })
    // Not "create": the id is the user's sub, and the first user who writes it keeps it.
    .authorization((allow) => [
      allow.ownerDefinedIn("profileOwner").to(["read", "update"]),
    ]),

  addUserToGroup: a
    .mutation()
    .arguments({ userId: a.string().required(), groupName: a.string().required() })
    .authorization((allow) => [allow.group("ADMINS")])
    .handler(a.handler.function(usherTrigger))
    .returns(a.json()),

  removeUserFromGroup: a
    .mutation()
    .arguments({ userId: a.string().required(), groupName: a.string().required() })
    .authorization((allow) => [allow.group("ADMINS")])
    .handler(a.handler.function(usherTrigger))
    .returns(a.json()),

  inviteUser: a
    .mutation()
    .arguments({
      email: a.email().required(),
      givenName: a.string(),
      familyName: a.string(),
      username: a.string(),
      groups: a.string().array(),
      attributes: a.json(),
      resend: a.boolean(),
    })
    .authorization((allow) => [allow.group("ADMINS")])
    .handler(a.handler.function(usherTrigger))
    .returns(a.json()),

  requestStatus: a
    .query()
    .arguments({ requestId: a.string().required() })
    .authorization((allow) => [allow.group("ADMINS")])
    .handler(a.handler.function(usherTrigger))
    .returns(a.json()),
});

export type Schema = ClientSchema<typeof schema>;

export const data = defineData({
  schema,
  authorizationModes: { defaultAuthorizationMode: "userPool" },
});
