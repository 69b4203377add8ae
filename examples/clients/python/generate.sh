#!/bin/sh
# Generates the stubs from the contract into the package latchkey.auth.v1.
set -e
cd "$(dirname "$0")"
exec .venv/bin/python -m grpc_tools.protoc -I ../../../proto \
  --python_out=. --pyi_out=. --grpc_python_out=. ../../../proto/latchkey/auth/v1/*.proto
