"""moto's server as in moto_server.py, with three more corrections.

CloudFormation removes an entry of a list when it is AWS::NoValue. moto does so only with
members of objects, and leaves `None` in a list.

A changed task definition is a new revision, made like the first. moto makes it with the
names of CloudFormation's properties instead of those of ECS.

Conditions: every value is text to CloudFormation, but moto distinguishes 0 and '0'. And moto
reads `!Condition`, with which one condition names another, as false.
"""

import sys

from moto.cloudformation import parsing
from moto.ecs.models import TaskDefinition

from moto_server import main

as_moto_has_it = parsing.clean_json


def clean_json(value, resources):
    cleaned = as_moto_has_it(value, resources)
    if isinstance(value, list):
        return [entry for entry in cleaned if entry is not None]
    return cleaned


def parse_condition(condition, resources, conditions):
    [(function, arguments)] = condition.items()
    if function.removeprefix("Fn::") == "Condition":
        return conditions[arguments]
    if function == "Fn::Equals":
        one, other = (str(clean_json(argument, resources)) for argument in arguments)
        return one == other
    hold = [parse_condition(argument, resources, conditions) for argument in arguments]
    return {"Fn::Not": not hold[0], "Fn::And": all(hold), "Fn::Or": any(hold)}[function]


def new_revision(cls, original_resource, new_resource_name, **rest):
    return cls.create_from_cloudformation_json(new_resource_name, **rest)


parsing.clean_json = clean_json
parsing.parse_condition = parse_condition
TaskDefinition.update_from_cloudformation_json = classmethod(new_revision)
main(sys.argv[1:])
