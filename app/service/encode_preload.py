"""What all encode processes have in common: the fork server imports it, and each process begins as its copy.

The kernels are loaded here once, for half a second; libvips is imported but must not run before a fork.
"""

import atexit
import os

from app.service import encode_process as encode_process  # an export: a process runs it
from pixels import butteraugli, jpeg

butteraugli.warm()
jpeg.warm()
# To take the compiler down in good order takes longer than everything else at the end of a service.
atexit.register(os._exit, 0)
