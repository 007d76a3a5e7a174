import { defineAuth } from "@aws-amplify/backend";
import { usherTrigger } from "../functions/usher-trigger/resource";

export const auth = defineAuth({
  loginWith: { email: true },
  // Not EVERYONE: a group that Amplify makes has an IAM role, which its members get
  // instead of the one for signed-in users. usher creates the group without a role.
  groups: ["ADMINS"],
  triggers: {
    postConfirmation: usherTrigger,
    // customMessage: usherTrigger,
    // preTokenGeneration: usherTrigger,
  },
});
