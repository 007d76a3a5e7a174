import { defineBackend } from "@aws-amplify/backend";
import { auth } from "./auth/resource";
import { data } from "./data/resource";
import { usherTrigger } from "./functions/usher-trigger/resource";
import { addUsher } from "./usher/resource";

const backend = defineBackend({ auth, data, usherTrigger });

addUsher(backend, {
  trigger: backend.usherTrigger,
  userPool: backend.auth.resources.userPool,
  profiles: backend.data.resources.tables["UserProfile"],
});
