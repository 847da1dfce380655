"""`make audit`: ask the advisory service about every pin, and say plainly what it could not tell.

pip-audit ends well when the service knows none of the packages; here no answer is no pass.
"""

# ruff: noqa: S603, T201 - a program for a terminal, which runs another one

import json
import subprocess
import sys

PINS = ("requirements.txt", "requirements-dev.txt")


def main() -> int:
    """Print what is known; 0: every pin was judged and none is vulnerable, 1: some are, 2: some were not judged."""
    exit_code = 0
    for pins in PINS:
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format=json", "-r", pins]
        done = subprocess.run(command, capture_output=True, text=True)
        try:
            rows = json.loads(done.stdout)["dependencies"]
        except ValueError:
            print(f"{pins}: the advisory service cannot be reached, so nothing is known\n{done.stderr[-300:]}")
            exit_code = exit_code or 2
            continue
        judged = [row for row in rows if "skip_reason" not in row]
        holes = [(row, hole) for row in judged for hole in row["vulns"]]
        for row, hole in holes:
            mended = ", ".join(hole["fix_versions"]) or "no release yet"
            print(f"{pins}: {row['name']} {row['version']}: {hole['id']}, mended in {mended}")
        print(f"{pins}: {len(judged)} of {len(rows)} pins judged, {len(holes)} known vulnerabilities")
        if holes:
            exit_code = 1
        elif len(judged) < len(rows):
            print(f"{pins}: of the others the advisory service knows nothing; that is not a pass")
            exit_code = exit_code or 2
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
