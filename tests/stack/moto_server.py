"""moto's server, with deletes that may overlap.

moto replaces the list of a queue's messages at each delete. Of two deletes at once, one is
undone, and its message comes back after the visibility timeout; a message that is sent
meanwhile is lost. Here, a delete takes the message out of the list.
"""

import sys

from moto.server import main
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Queue


def delete_message(self, receipt_handle):
    with self._messages_lock:
        if receipt_handle in self.deleted_messages:
            return
        for message in self._messages:
            if message.had_receipt_handle(receipt_handle):
                self.pending_messages.discard(message)
                self.deleted_messages.update(message.all_receipt_handles)
                self._messages.remove(message)
                return
        raise ReceiptHandleIsInvalid


Queue.delete_message = delete_message
if __name__ == "__main__":
    main(sys.argv[1:])
