#!/bin/sh
# with_celery.sh VENV SCRIPT [ARG…]: runs a Python script with the pinned Celery, or says why it cannot (77: skipped).
venv=$1
shift
if [ ! -x "$venv/bin/python" ]; then
    echo "$venv does not exist; ./dev test creates it" >&2
    exit 77
fi
exec "$venv/bin/python" -B "$@"
