#!/usr/bin/env bash
# What environment.yml cannot say: this repository and KILT's evaluators, each without its dependencies (see there).
# Runs in the activated environment, from the root of the checkout.
set -euo pipefail
pip install --no-deps --no-build-isolation --editable .
pip install --no-deps --no-build-isolation \
  "kilt @ git+https://github.com/facebookresearch/KILT@2664322b9a994be686e4c3a9e8f75a0b70927f22" ||
  echo "KILT's own package is not installed: scores will go without its cross-check" >&2
