"""Prints which models of the policies and the zoo pass, with the first error of each that does not.

    python Tests/Python/zoo_report.py [--failed] [--policies] [--zoo] [PART_OF_A_NAME ...]
"""
import argparse
import collections
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bindings/python"))

import suites  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--failed", action="store_true", help="list only what fails")
    parser.add_argument("--policies", action="store_true", help="only the policies")
    parser.add_argument("--zoo", action="store_true", help="only the zoo")
    parser.add_argument("names", nargs="*", help="only models whose name contains one of these")
    options = parser.parse_args()
    both = options.policies == options.zoo
    jobs = []
    if both or options.policies:
        jobs += [("policy", n, lambda m=m, v=v: suites.check_policy(m, v)) for n, m, v in suites.policies()]
        jobs += [("trajectory", n, lambda m=m, v=v: suites.check_trajectory(m, v)) for n, m, v in suites.trajectories()]
    if both or options.zoo:
        jobs += [("zoo", r["file"].removesuffix(".onnx"), lambda r=r: suites.check_zoo(r)) for r in suites.zoo()]
    jobs = [j for j in jobs if not options.names or any(part in j[1] for part in options.names)]
    if not jobs:
        sys.exit("no models found: set EFFERENT_POLICIES and EFFERENT_ZOO")
    passed, reasons = collections.Counter(), collections.Counter()
    for kind, name, check in jobs:
        started = time.perf_counter()
        try:
            result, ok = f"{check():.1e}", True
        except Exception as e:
            result, ok = f"{type(e).__name__}: {e}".replace("\n", " "), False
            reasons[result if len(result) < 120 else result[:120] + "..."] += 1
        passed[kind, ok] += 1
        if not ok or not options.failed:
            print(f"{'ok  ' if ok else 'FAIL'} {kind:10} {name:62} {1e3 * (time.perf_counter() - started):6.0f} ms  "
                  f"{result}", flush=True)
    print()
    for kind in dict.fromkeys(j[0] for j in jobs):
        print(f"{kind:10} {passed[kind, True]} of {passed[kind, True] + passed[kind, False]}")
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
