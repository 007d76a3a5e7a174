"""Cognito user pools."""

from checks import checks

CHECKS, check = checks()
# moto's user has more attributes than the endpoint's.
MEMBERS = ("Username", "Enabled", "UserStatus", "UserCreateDate", "UserLastModifiedDate",
           "Error.Code", "x-amzn-query-error")


@check("AdminAddUserToGroup")
def _(side):
    def add(user, group=side.group, pool=side.pool):
        return side.ask(side.cognito, "admin_add_user_to_group",
                        UserPoolId=pool, Username=user, GroupName=group)

    somebody, somebody_else = side.users[:2]
    yield "ok", add(somebody)
    yield "again", add(somebody)
    yield "somebody else", add(somebody_else)
    yield "unknown user", add("nobody")
    yield "unknown group", add(somebody, group="NOBODY")
    yield "unknown pool", add(somebody, pool="eu-west-1_None")


@check("AdminGetUser")
def _(side):
    def get(user, pool=side.pool):
        return side.ask(side.cognito, "admin_get_user", UserPoolId=pool, Username=user)

    user = get(side.users[0])
    names = [attribute["Name"] for attribute in user.answer["UserAttributes"]]
    yield "ok", user.only(*MEMBERS)
    yield "attributes", {"sub": "sub" in names}
    yield "unknown user", get("nobody").only(*MEMBERS)
    yield "unknown pool", get(side.users[0], "eu-west-1_None").only(*MEMBERS)
