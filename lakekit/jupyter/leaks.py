"""Looks for secrets where none may be: leaks.py STATE FOLDER... takes those of
a state folder and of the environment, and prints every file below the folders
that holds one. The files that are made to hold them do not count."""

import json
import os
import sys

VARIABLES = ("OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN", "KAFKA_SASL_PASSWORD",
             "LAKEKIT_REAL_S3_ACCESS_KEY_SECRET", "LAKEKIT_REAL_KAFKA_PASSWORD")
KEEPERS = ("secrets.json", "real.env", "profile.env", "server.properties")


def secrets_of(state):
    found = {os.environ[name] for name in VARIABLES if os.environ.get(name)}
    try:
        with open(os.path.join(state, "secrets.json"), encoding="utf-8") as file:
            content = json.load(file)
        found.update((content["token"], content["access_key_secret"]))
    except FileNotFoundError:
        pass
    return [secret.encode() for secret in sorted(found)]


def files_below(folder):
    for path, _, names in os.walk(folder):
        for name in names:
            if name not in KEEPERS:
                yield os.path.join(path, name)


def main(state, folders):
    secrets = secrets_of(state)
    if not secrets:
        sys.exit(f"there is no secret in {state} to look for")
    looked = 0
    leaks = []
    for folder in folders:
        for path in files_below(folder):
            looked += 1
            with open(path, "rb") as file:
                content = file.read()
            if any(secret in content for secret in secrets):
                leaks.append(path)
    for path in leaks:
        print(f"a secret is in {path}")
    if not looked:
        sys.exit("there is no file to look at")
    print(f"{len(secrets)} secrets in none of {looked} files" if not leaks else "")
    sys.exit(bool(leaks))


main(sys.argv[1], sys.argv[2:])
