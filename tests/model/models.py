"""The service models in the botocore that is installed."""

import gzip
import json
from importlib.metadata import distribution

# Folders of the models that usher is held against: the versions of the services' APIs.
API_VERSIONS = {
    "cognito-idp": "2016-04-18",
    "dynamodb": "2012-08-10",
    "sqs": "2012-11-05",
}


def version():
    return distribution("botocore").version


def service_model(service):
    path = f"botocore/data/{service}/{API_VERSIONS[service]}/service-2.json.gz"
    file = distribution("botocore").locate_file(path)
    return json.loads(gzip.decompress(file.read_bytes()))
