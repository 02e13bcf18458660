# shellcheck shell=bash
# RabbitMQ, Redis and PostgreSQL for development and tests. Sourced by ./dev; the work is done in tools/services.

services() {
    case ${1:-} in
        up) setup_groups services ;;
        # The others need no server that is not there; in Python's words they say what they are.
        *) require_writable_build ;;
    esac
    exec python3 tools/services "$@"
}
