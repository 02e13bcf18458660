# shellcheck shell=bash
# Configuring, building and starting programs. Sourced by ./dev.

# CPU seconds an average build step takes; for the estimate only.
readonly step_cpu_seconds=4

build_command() {
    local preset=${1:-release}
    prepare_build "$preset"
    build_targets "$preset" all
}

# prepare_build PRESET [CMAKE_OPTION…]: the packages a preset needs, and a configured build folder.
prepare_build() {
    local preset=$1
    shift
    case $preset in
        release | debug) setup_groups build ;;
        asan | tsan) setup_groups build sanitize ;;
        *) die "there is no preset \"$preset\"; the presets are: release, debug, asan, tsan" ;;
    esac
    require_writable_build
    local folder=build/$preset
    # CMake notices by itself when its own files change, but not when the presets or our options do.
    if [ ! -e "$folder/build.ninja" ] || [ CMakePresets.json -nt "$folder/build.ninja" ] || ! options_cached "$folder" "$@"; then
        cmake --preset "$preset" "$@" >"build/configure-$preset.log" 2>&1 || {
            tail -n 30 "build/configure-$preset.log" >&2
            die "configuring failed; the last lines of build/configure-$preset.log are above"
        }
    fi
}

# options_cached FOLDER -DNAME=VALUE…
options_cached() {
    local folder=$1 option
    shift
    for option in "$@"; do
        option=${option#-D}
        grep -qx "${option%%=*}:[A-Z]*=${option#*=}" "$folder/CMakeCache.txt" || return 1
    done
}

# build_targets PRESET TARGET…
build_targets() {
    local preset=$1 started jobs steps
    shift
    started=$(date +%s)
    jobs=$(jobs_limit)
    steps=$(ninja -C "build/$preset" -n "$@" | sed -nE 's,^\[[0-9]+/([0-9]+)\].*,\1,p' | tail -n 1)
    [ -n "$steps" ] || return 0
    if [ "$steps" -gt 15 ]; then
        say "building $* ($preset): $steps steps on $jobs cores, about $(((steps * step_cpu_seconds / jobs + 59) / 60)) min when nothing is in ccache"
    fi
    ninja -C "build/$preset" -j "$jobs" "$@" || die "the build of $* ($preset) failed; the compiler's messages are above"
    [ "$steps" -le 15 ] || say "built in $(took "$started")"
}

# program_path PRESET PROGRAM: where the build put it.
program_path() {
    find "build/$1" -name CMakeFiles -prune -o -type f -executable -name "$2" -print -quit
}

# demo [--full] [OPTION…]
demo() {
    local argument full=
    local -a options=()
    for argument in "$@"; do
        if [ "$argument" = --full ]; then full=yes; else options+=("$argument"); fi
    done
    refuse_taken_port "${options[@]}"
    [ -n "$full" ] || run_program project-demo "${options[@]}"
    demo_full "${options[@]}"
}

# A taken port is worth knowing before minutes of building. Once it is built, the program says so itself.
refuse_taken_port() {
    local argument previous="" port=5000 inode holder
    for argument in "$@"; do
        [ "$argument" != --help ] || return 0
        case $argument in --port=*) port=${argument#--port=} ;; esac
        [ "$previous" != --port ] || port=$argument
        previous=$argument
    done
    [ -z "$(program_path release project-demo 2>/dev/null)" ] || return 0
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
    inode=$(awk -v port=":$(printf %04X "$port")" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10; exit }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null) || true
    # Processes of others, and those that end meanwhile, make find fail whatever it has found.
    holder=$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" -print -quit 2>/dev/null | cut -d/ -f3) || true
    holder=${holder:+process $holder ($(cat "/proc/$holder/comm" 2>/dev/null || true))}
    die "port $port of 127.0.0.1 is taken by ${holder:-a process of another user}; choose another with --port"
}

# The demonstration on RabbitMQ and Redis of its own, which end with it. Nothing but the two URLs is different.
demo_full() {
    setup_groups build services
    prepare_build release
    build_targets release project-demo
    say "starting RabbitMQ and Redis; they end with the demonstration"
    # The variables are the inner shell's.
    # shellcheck disable=SC2016
    exec python3 tools/services --state build/demo-services run --only rabbitmq,redis -- \
        sh -c 'CELERY_BROKER_URL=$LOVAGE_TEST_AMQP_URL CELERY_RESULT_BACKEND_URL=$LOVAGE_TEST_REDIS_URL exec "$@"' demo \
        "$(program_path release project-demo)" "$@"
}

# run_program PROGRAM [ARG…]: replaces this shell, so that signals reach the program itself.
run_program() {
    [ $# -gt 0 ] || die "which program? For example: ./dev run project-worker worker --help"
    local program=$1 path
    shift
    prepare_build release
    ninja -C build/release -t query "$program" >/dev/null 2>&1 || die "the build knows no program \"$program\""
    build_targets release "$program"
    path=$(program_path release "$program")
    [ -n "$path" ] || die "\"$program\" is a build target, but not a program"
    exec "$path" "$@"
}

# torture [OPTION…]: its servers are its own, below build/torture. torture --reverts [LINE…]: safety lines are left out one by
# one, and their runs must fail.
torture() {
    setup_groups build test services
    [ "${1:-}" = --reverts ] || run_program lovage-torture "$@"
    shift
    prepare_build release
    build_targets release lovage_chaos_safety_tests
    exec python3 tools/services --state build/torture/services run --only rabbitmq,redis -- \
        python3 tests/chaos/reverts.py "$(program_path release lovage_chaos_safety_tests)" "$@"
}

# write_reference [PRESET]: the pages that are made from the code.
write_reference() {
    local preset=${1:-release} program page
    prepare_build "$preset"
    build_targets "$preset" print-reference
    program=$(program_path "$preset" print-reference)
    for page in settings cli; do
        "$program" "$page" >"build/$page.md"
        mv "build/$page.md" "docs/reference/$page.md"
        say "wrote docs/reference/$page.md"
    done
}

bench() {
    setup_groups build bench
    if [ "${1:-}" = --help ]; then
        exec python3 bench/run.py --help
    fi
    prepare_build release -DLOVAGE_BUILD_BENCH=ON
    build_targets release all
    exec python3 bench/run.py "$@"
}

clean() {
    require_writable_build
    [ ! -e build/services ] || python3 tools/services down --wipe
    say "removing build/ ($(du -sh build | cut -f1))"
    rm -rf build
}
