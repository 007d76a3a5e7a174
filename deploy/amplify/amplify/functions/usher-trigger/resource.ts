import path from "node:path";
import { fileURLToPath } from "node:url";
import { defineFunction } from "@aws-amplify/backend";
import { Duration } from "aws-cdk-lib";
import { Architecture, Code, Function, Runtime } from "aws-cdk-lib/aws-lambda";

const here = path.dirname(fileURLToPath(import.meta.url));

// defineFunction's own options are for Node.js; this is its form for everything else.
export const usherTrigger = defineFunction(
  (scope) =>
    new Function(scope, "usher-trigger", {
      runtime: Runtime.PROVIDED_AL2023,
      architecture: Architecture.ARM_64,
      code: Code.fromAsset(path.join(here, "bootstrap.zip")),
      handler: "bootstrap",
      // As long as Cognito waits. The default of 3 s is too short for two attempts.
      timeout: Duration.seconds(5),
      memorySize: 128,
      environment: {
        // Who may call the mutations; comma-separated.
        USHER_ADMIN__GROUPS: "ADMINS",
        ...pools(),
      },
    }),
  // data needs auth, and auth needs its trigger: in the group "data" this function
  // would make a circular dependency.
  { resourceGroupName: "auth" },
);

// The pool names the function and so cannot be named by it: CloudFormation would
// need each before the other. The id is known after the first deployment
// and stays, so it comes from the environment of `ampx`.
function pools(): Record<string, string> {
  const allowed = process.env.USHER_POOLS__ALLOWED;
  return allowed ? { USHER_POOLS__ALLOWED: allowed } : {};
}
