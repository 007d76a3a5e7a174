"""moto's server, with two things put right.

CloudFormation takes an entry out of a list when it is AWS::NoValue. moto does so with
members of objects alone, and leaves `None` in a list.

A task definition that is changed is a new revision, made like the first. moto makes it
with the names of CloudFormation's properties in the place of those of ECS.
"""

import sys

from moto.cloudformation import parsing
from moto.ecs.models import TaskDefinition
from moto.server import main

as_moto_has_it = parsing.clean_json


def clean_json(value, resources):
    cleaned = as_moto_has_it(value, resources)
    if isinstance(value, list):
        return [entry for entry in cleaned if entry is not None]
    return cleaned


def new_revision(cls, original_resource, new_resource_name, **rest):
    return cls.create_from_cloudformation_json(new_resource_name, **rest)


parsing.clean_json = clean_json
TaskDefinition.update_from_cloudformation_json = classmethod(new_revision)
main(sys.argv[1:])
