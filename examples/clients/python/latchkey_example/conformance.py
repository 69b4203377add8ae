"""Compares the verdicts of this client with conformance/verdicts.jsonl."""

import base64
import json

from latchkey.auth.v1.verifier_service_pb2 import WatchResponse

from .view import View


def run(path):
    """Prints each failure and the totals, and returns whether all passed."""
    passed = failed = 0
    with open(path, encoding="utf-8") as lines:
        for case in map(json.loads, lines):
            verdict = _verdict(case)
            if verdict == case["verdict"]:
                passed += 1
            else:
                failed += 1
                print(f"{case['name']}: expected {case['verdict']}, received {verdict}")
    print(f"{passed} passed, {failed} failed")
    return failed == 0 and passed > 0


def _verdict(case):
    view = View()
    view.begin_stream(is_snapshot=True)
    messages, resumes_after = case["messages"], case.get("resumes_after")
    for received, message in enumerate(messages):
        if received == resumes_after:
            view.begin_stream(is_snapshot=False)
        view.receive(WatchResponse.FromString(base64.b64decode(message["wire"])), message["arrives_at_ms"])
    if len(messages) == resumes_after:
        view.begin_stream(is_snapshot=False)
    verdict, _ = view.judge(case["token"], case["audience"], case["verify_at_ms"], case["max_staleness_ms"])
    return verdict or "VALID"
