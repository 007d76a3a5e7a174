"""What holds of the image and of the Lambda. Run by ./run, in a network namespace."""

import signal
import sys

import image
import lambda_function
import service
from counting import counted
from surroundings import loopback_up

# So that what was started is ended.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

with counted():
    loopback_up()
    image.check_all()
    lambda_function.check_file()
    service.check_all()
