# shellcheck shell=bash
# Words and numbers that every command of ./dev uses. Sourced; the working directory is the repository.

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
die() {
    printf 'dev: %s\n' "$*" >&2
    exit 1
}

# Escape sequences belong on terminals only.
if [ ! -t 1 ]; then
    say() { printf '==> %s\n' "$*"; }
fi

# took SINCE: the time since the second SINCE, for people.
took() {
    local seconds=$(($(date +%s) - $1))
    if [ $seconds -ge 60 ]; then
        printf '%d min %02d s' $((seconds / 60)) $((seconds % 60))
    else
        printf '%d s' $seconds
    fi
}

# jobs_limit: how many compilers may run at once. The heaviest sources need about 1.2 GB each.
jobs_limit() {
    local cores memory_kib by_memory
    cores=$(nproc)
    memory_kib=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
    by_memory=$((memory_kib / 1200000))
    [ "$by_memory" -ge 1 ] || by_memory=1
    if [ -n "${LOVAGE_JOBS:-}" ]; then
        printf '%s' "$LOVAGE_JOBS"
    elif [ "$by_memory" -lt "$cores" ]; then
        printf '%s' "$by_memory"
    else
        printf '%s' "$cores"
    fi
}

# require_writable_build: makes build/, or says why it cannot be written to.
require_writable_build() {
    mkdir -p build 2>/dev/null || true
    [ -w build ] || die "build/ cannot be written to by $(id -un); it belongs to $(stat -c %U build 2>/dev/null || stat -c %U .). Remove it or run as that user."
}
