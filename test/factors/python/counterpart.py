"""Independent implementations of second factors: pyotp and soft-webauthn. Reads and writes one JSON value a line."""

import base64
import json
import sys

import pyotp
from soft_webauthn import SoftWebauthnDevice


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode(value):
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def credential_json(credential):
    response = {name: encode(value) for name, value in credential["response"].items()}
    raw_id = encode(credential["rawId"])
    return json.dumps({"id": raw_id, "rawId": raw_id, "type": credential["type"], "response": response})


def create(device, options, origin):
    user = {**options["user"], "id": decode(options["user"]["id"])}
    options = {**options, "user": user, "challenge": decode(options["challenge"])}
    return credential_json(device.create({"publicKey": options}, origin))


def get(device, options, origin):
    options = {**options, "challenge": decode(options["challenge"])}
    return credential_json(device.get({"publicKey": options}, origin))


def main():
    device = SoftWebauthnDevice()
    for line in sys.stdin:
        command = json.loads(line)
        match command["do"]:
            case "totp":
                answer = pyotp.parse_uri(command["uri"]).at(command["seconds"])
            case "create":
                answer = create(device, json.loads(command["options"]), command["origin"])
            case "get":
                answer = get(device, json.loads(command["options"]), command["origin"])
        print(json.dumps(answer), flush=True)


main()
