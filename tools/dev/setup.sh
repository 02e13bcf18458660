# shellcheck shell=bash
# Installs Debian packages that are missing. Sourced by ./dev; what needs root is in install_packages.sh.

# GROUP PACKAGE WHY. Everything is in Debian 12's main section, and nothing comes from elsewhere.
setup_table() {
    cat <<'TABLE'
build clang-19 the compiler; Debian 12's g++ miscompiles coroutines
build lld-19 the linker
build libstdc++-12-dev the C++ standard library
build cmake the build's description
build ninja-build runs the build
build ccache makes a repeated build take seconds
build libboost1.81-dev Asio for the event loops, Beast's HTTP parser, Describe, Multiprecision
build libfmt-dev text formatting
build libspdlog-dev logs
build libsqlite3-dev the embedded broker and result store
build zlib1g-dev compressed messages
build libssl-dev TLS
build prometheus-cpp-dev metrics
build libcli11-dev command lines
build libtomlplusplus-dev settings files
build libdw-dev names and lines in the backtraces of crashed tasks
build libabsl-dev reads the rules of time zones for schedules
build tzdata the rules of time zones
build libgtest-dev tests
build libgmock-dev test matchers
build python3 the other side of tests, and their runner
build curl to try the demonstration's API
test openssl makes the certificates of TLS tests
services openssl makes the certificates of RabbitMQ's TLS port
test python3-celery the older of the two Celerys that interoperability tests speak to
test python3-redis its client for Redis
test python3-venv an environment of its own for the newer one
test ca-certificates lets pip check whom it talks to
browser chromium shows the pages that tests look at
sanitize libclang-rt-19-dev AddressSanitizer, UBSan, ThreadSanitizer and libFuzzer's runtime
sanitize llvm-19 names in sanitizer reports
lint clang-tidy-19 finds coroutine mistakes
lint clang-format-19 the layout of sources
lint shellcheck reads shell scripts
lint python3 checks the layers of the modules
lint git lists the files to look at
bench wrk sends HTTP load
bench python3 runs the benchmarks
bench python3-venv Celery's environment, for comparison
bench ca-certificates lets pip check whom it talks to
bench rabbitmq-server Celery's broker, for comparison; started only while a benchmark runs
bench redis-server Celery's result store, for comparison; started only while a benchmark runs
bench librabbitmq-dev the bare loop on RabbitMQ
bench libhiredis-dev the bare loop on Redis
services rabbitmq-server a broker; servers run only between ./dev services up and down, or during tests
services redis-server a broker and result store
services postgresql-15 an application database
services python3 starts and stops the servers
TABLE
}

# Disk that the build group and a full release build need together, measured on an empty Debian 12.
readonly setup_disk_mib=3000

# setup [GROUP…]
setup() {
    [ -z "${LOVAGE_SKIP_SETUP:-}" ] || return 0
    [ $# -gt 0 ] || set -- build test services lint
    local group
    for group in "$@"; do
        setup_table | grep -q "^$group " ||
            die "there is no set-up group \"$group\"; the groups are: $(setup_table | cut -d' ' -f1 | sort -u | xargs)"
    done
    setup_groups "$@"
    say "set-up complete: $*"
}

# setup_groups GROUP…: quiet and immediate when nothing is missing.
setup_groups() {
    [ -z "${LOVAGE_SKIP_SETUP:-}" ] || return 0
    require_writable_build
    local stamp="build/.setup-$*" wanted
    stamp=${stamp// /-}
    wanted=$(setup_wanted "$@")
    # The stamp holds as long as no package has come or gone since.
    if [ "$stamp" -nt /var/lib/dpkg/status ] && [ "$(<"$stamp")" = "$wanted" ]; then
        return 0
    fi
    require_supported_system
    local -a missing
    mapfile -t missing < <(setup_missing "$wanted")
    if [ ${#missing[@]} -gt 0 ]; then
        install_missing "${missing[@]}"
        mapfile -t missing < <(setup_missing "$wanted")
        [ ${#missing[@]} -eq 0 ] || die "apt-get finished, but these packages are still missing: ${missing[*]} (log: build/setup.log)"
    fi
    printf '%s\n' "$wanted" >"$stamp"
}

# setup_wanted GROUP…: the packages of the groups, one a line, each once.
setup_wanted() {
    setup_table | awk -v groups=" $* " 'index(groups, " " $1 " ") && !seen[$2]++ {print $2}'
}

# setup_missing PACKAGES: those of the lines in PACKAGES that are not installed.
setup_missing() {
    local package
    while IFS= read -r package; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed' || printf '%s\n' "$package"
    done <<<"$1"
}

require_supported_system() {
    # LOVAGE_OS_RELEASE lets the tests show the refusal.
    local file=${LOVAGE_OS_RELEASE:-/etc/os-release} id version name
    [ -r "$file" ] || die "this system has no $file; set-up supports Debian 12 (bookworm) only. LOVAGE_SKIP_SETUP=1 uses what is installed."
    # shellcheck disable=SC1090
    id=$(. "$file" && printf '%s' "${ID:-}")
    # shellcheck disable=SC1090
    version=$(. "$file" && printf '%s' "${VERSION_ID:-}")
    # shellcheck disable=SC1090
    name=$(. "$file" && printf '%s' "${PRETTY_NAME:-unknown}")
    [ "$id:$version" = "debian:12" ] ||
        die "set-up supports Debian 12 (bookworm), and this is $name (ID=$id VERSION_ID=$version). Nothing was changed. With the packages of \`tools/dev/setup.sh\` installed by hand, LOVAGE_SKIP_SETUP=1 builds anyway."
}

install_missing() {
    local started package
    started=$(date +%s)
    say "installing $# Debian packages and what they depend on:"
    for package in "$@"; do
        printf '    %-22s %s\n' "$package" "$(setup_table | awk -v p="$package" '$2 == p {$1 = $2 = ""; sub(/^ +/, ""); print; exit}')"
    done

    local -a become_root
    if [ "$(id -u)" -eq 0 ]; then
        become_root=()
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        become_root=(sudo -n)
    else
        die "installing needs root, and $(id -un) may not use sudo without a password. Run this once, then ./dev again:
    sudo apt-get update && sudo apt-get install --no-install-recommends $*"
    fi
    require_disk

    local status=0
    "${become_root[@]}" bash tools/dev/install_packages.sh "$@" </dev/null 2>build/setup.log | apt_progress || status=$?
    if [ $status -ne 0 ]; then
        tail -n 25 build/setup.log >&2
        die "installing failed; the last lines of build/setup.log are above"
    fi
    say "installed in $(took "$started")"
}

require_disk() {
    local free_mib
    free_mib=$(df -Pm . | awk 'NR == 2 {print $4}')
    [ "$free_mib" -ge $setup_disk_mib ] ||
        die "$PWD has $free_mib MiB of free disk; packages and a build need about $setup_disk_mib MiB"
}

# apt_progress: shows apt's status lines as a moving per cent.
apt_progress() {
    local line phase percent step last_shown=""
    while IFS= read -r line; do
        [[ $line =~ ^(dl|pm)status:.*:([0-9]+)\.[0-9]+:(.*)$ ]] || continue
        phase=$([ "${BASH_REMATCH[1]}" = dl ] && printf downloading || printf installing)
        percent=${BASH_REMATCH[2]}
        if [ -t 1 ]; then
            printf '\r\033[K    %s %3d %%  %.60s' "$phase" "$percent" "${BASH_REMATCH[3]}"
            continue
        fi
        step="$phase $((percent / 25 * 25)) %"
        [ "$step" = "$last_shown" ] || printf '    %s\n' "$step"
        last_shown=$step
    done
    [ ! -t 1 ] || printf '\r\033[K'
}
