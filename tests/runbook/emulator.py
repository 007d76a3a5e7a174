"""moto's server as tests/stack has it, with two more things put right.

Change sets, with which `aws cloudformation deploy` makes and changes a stack: moto keeps the
outputs and parameters of before, stumbles over a list whose value stays, and takes a
parameter that is given its default for a change, and so resources for changed that are not.

A service has the network that the template gives it, and a task whose container has no limit
of its own needs none.
"""

import runpy
from pathlib import Path

from moto.cloudformation.models import ChangeSet
from moto.ecs.models import EC2ContainerServiceBackend, Service


def as_given(parameters):
    return {
        name: ",".join(value) if isinstance(value, list) else value
        for name, value in parameters.items()
    }


def apply(self):
    stack, resources = self.stack, self.stack.resource_map
    self.parameters = as_given(self.parameters)
    defaults = {
        name: str(parameter.get("Default", ""))
        for name, parameter in self.template_dict["Parameters"].items()
    }
    resources.input_parameters = defaults | as_given(resources.input_parameters)
    stack.template = self.template
    stack._parse_template()
    resources.update(stack.template_dict, self.parameters)
    stack.parameters = self.parameters
    stack.output_map = stack._create_output_map()


as_moto_makes_it = Service.create_from_cloudformation_json.__func__


def with_network(cls, name, resource, account_id, region, **others):
    service = as_moto_makes_it(cls, name, resource, account_id, region, **others)
    network = resource["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"]
    service.network_configuration = {
        "awsvpcConfiguration": {key[0].lower() + key[1:]: value for key, value in network.items()}
    }
    return service


ChangeSet.apply = apply
EC2ContainerServiceBackend._calculate_task_resource_requirements = lambda self, task: {
    "CPU": 0, "MEMORY": 0, "PORTS": [], "PORTS_UDP": [],
}
Service.create_from_cloudformation_json = classmethod(with_network)
runpy.run_path(str(Path(__file__).parent.parent / "stack/emulator.py"), run_name="__main__")
