"""Does with crafted files what an encode process does, and writes a line of JSON for each: see test_crafted."""

import json
import os
import resource
import sys
import time

from pixels import pack_png, pipeline, vips
from pixels.errors import DecodeFailed, ImageTooLarge, PixelsError, UnsupportedFormat
from pixels.options import Limits, Options
from tests.hostile.crafted import all_cases, light_cases

STATUSES = {UnsupportedFormat: 415, ImageTooLarge: 413, DecodeFailed: 422}


def run(begun: int, memory_bytes: int) -> None:
    vips.prepare()
    vips.warm()
    pack_png.warm()
    cases = list(all_cases() if os.environ.get("HOSTILE_ALL") else light_cases())
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for case in cases[begun:]:
        data = memoryview(case.build())
        started = time.process_time()
        try:
            # The metric's search is the same work for every picture, and has tests of its own.
            pipeline.compress(data, Options(quality=60), Limits())
            status, message = 200, ""
        except PixelsError as error:
            status, message = STATUSES.get(type(error), 500), str(error)
        sys.stdout.write(json.dumps((status, time.process_time() - started, message)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))
