# shellcheck shell=bash
# Building and running the tests. Sourced by ./dev.

# run_tests [--label L] [--filter F] [--preset P]
run_tests() {
    local preset=release
    local -a selection=()
    while [ $# -gt 0 ]; do
        case $1 in
            --label | --filter | --preset) [ $# -ge 2 ] || die "$1 needs a value" ;;&
            --label)
                selection+=(-L "$2")
                # Sweeps that take minutes are registered with ctest for this configuration only.
                [[ $2 != *long* ]] || selection+=(-C long)
                ;;
            --filter) selection+=(-R "$2") ;;
            --preset) preset=$2 ;;
            *) die "test: unknown option \"$1\"; there are --label L, --filter F and --preset P" ;;
        esac
        shift 2
    done
    setup_groups build test
    prepare_build "$preset"
    build_targets "$preset" all
    prepare_python
    run_ctest "$preset" "${selection[@]}"
}

# The newer Celery that interoperability tests speak to, in an environment of its own. It is the one thing that is not in Debian
# (in this version), so a machine that reaches Debian's packages only still runs all other tests.
prepare_python() {
    local wanted=tests/interop/requirements.txt exporter=tests/interop/requirements-exporter.txt stamp=build/venv/.requirements
    ! cat "$wanted" "$exporter" | cmp -s - "$stamp" || return 0
    say "preparing Celery for the interoperability tests in build/venv"
    if make_environment build/venv -r "$wanted"; then
        # It has to be built, so it may fail where nothing else does; that costs its own test only.
        build/venv/bin/pip install --quiet --disable-pip-version-check --retries 2 -r "$exporter" </dev/null ||
            say "pip could not install $exporter (its reason is above): THE TEST OF THE EXPORTER WILL BE SKIPPED"
        cat "$wanted" "$exporter" >"$stamp"
    else
        say "pip could not install $wanted (its reason is above): THE INTEROPERABILITY TESTS WILL BE SKIPPED"
    fi
}

# make_environment FOLDER PIP_ARG…: a virtual environment with these packages, or none.
make_environment() {
    local folder=$1
    shift
    rm -rf "$folder"
    python3 -m venv "$folder" &&
        "$folder/bin/pip" install --quiet --disable-pip-version-check --retries 2 "$@" </dev/null && return 0
    rm -rf "$folder"
    return 1
}

# interop [--latest] [OPTION_OF_TEST…]: the interoperability tests; with --latest, against what PyPI has today instead of the
# pinned versions.
interop() {
    if [ "${1:-}" = --latest ]; then
        shift
        setup_groups build test
        require_writable_build
        say "preparing today's Celery in build/venv-latest"
        local -a packages
        mapfile -t packages < <(sed -nE 's/^([a-z-]+)==.*/\1/p' tests/interop/requirements.txt)
        make_environment build/venv-latest "${packages[@]}" || die "pip could not install ${packages[*]}; its reason is above"
        build/venv-latest/bin/pip list --disable-pip-version-check 2>/dev/null | grep -E "^($(IFS='|' && echo "${packages[*]}")) "
        export LOVAGE_INTEROP_PYTHON=$PWD/build/venv-latest/bin/python
    fi
    run_tests --label '^interop$' "$@"
}

# run_ctest PRESET [CTEST_OPTION…]: ends with ctest's summary line. Processes that a test leaves behind fail the run.
run_ctest() {
    local preset=$1 mark summary status=0
    shift
    mark="$$-$(date +%s%N)"
    summary=build/ctest-$preset.log
    sanitizer_options
    local -a with_servers=()
    if selects_label "conformance integration interop chaos chaos-long" "$preset" "$@"; then
        setup_groups services
        with_servers=(python3 tools/services --state "build/$preset/services" run --)
    fi
    if selects_label browser "$preset" "$@" && ! (setup_groups browser); then
        say "there is no Chromium (the reason is above): THE TESTS THAT LOOK AT PAGES WILL BE SKIPPED"
    fi
    # When ctest does not get to write it, what an earlier run left there says nothing about this one.
    rm -f "build/$preset/Testing/Temporary/LastTestsFailed.log" "build/ctest-$preset-failed.log" "build/ctest-$preset-again.log"
    # tee hears of an interrupt from the end of what it reads.
    "${with_servers[@]}" env LOVAGE_TEST_RUN="$mark" ctest --preset "$preset" -j 2 --no-tests=error "$@" </dev/null 2>&1 |
        tee -i "$summary" || status=$?
    skip_reasons "build/$preset/Testing/Temporary/LastTest.log"
    # The numbers by which ctest remembers what failed are those of its configuration.
    local configuration=short
    [[ " $* " != *" -C long "* ]] || configuration=long
    if [ $status -ne 0 ] && failed_again "$preset" "$configuration" "${with_servers[@]}"; then
        status=0
        sed -i -E 's/^[0-9]+% tests passed, ([0-9]+) tests failed (out of [0-9]+).*/100% tests passed, 0 tests failed \2 (\1 of them alone, at the second attempt)/' "$summary"
    fi
    if ! nothing_left_behind "$mark"; then
        status=1
    fi
    say "tests ($preset) took $(took "${dev_started:?}") with set-up and build"
    grep -E '^[0-9]+% tests passed' "$summary" || true
    return $status
}

# failed_again PRESET CONFIGURATION [COMMAND_THAT_STARTS_SERVERS…]: runs the tests that failed once more, one at a time, and
# names each with how that ended. Succeeds only if none fails again and all are fault or interoperability tests: the former measure
# time as well, the latter wait for programs that give a reply one second (Celery's, Flower's); on a machine that is busy with
# something else neither says anything about us. Every other test has to pass at once.
failed_again() {
    local preset=$1 configuration=$2 names status=0
    local again=build/ctest-$preset-again.log
    shift 2
    mapfile -t names < <(sed -nE 's/^[0-9]+://p' "build/$preset/Testing/Temporary/LastTestsFailed.log" 2>/dev/null)
    [ ${#names[@]} -gt 0 ] || return 1
    # The second attempt overwrites what the first one wrote, which is what tells why.
    first_words "build/$preset/Testing/Temporary/LastTest.log" "${names[@]}" >"build/ctest-$preset-failed.log"
    say "${#names[@]} failed; once more, alone"
    "$@" env LOVAGE_TEST_RUN="$mark" ctest --preset "$preset" --rerun-failed -C "$configuration" -j 1 </dev/null 2>&1 | tee -i "$again" || status=1
    printf '==> failed: %s\n' "${names[@]}"
    local others
    others=$(ctest --preset "$preset" --show-only=json-v1 -C "$configuration" | python3 -c '
import json, sys
timed = {test["name"] for test in json.load(sys.stdin)["tests"] for found in test["properties"]
         if found["name"] == "LABELS" and (set(found["value"]) & {"chaos", "chaos-long", "interop"})}
print(*(name for name in sys.argv[1:] if name not in timed), sep="\n")' "${names[@]}") || return 1
    if [ $status -ne 0 ]; then
        sed -nE 's/^\t *[0-9]+ - (.*) \(.*\)$/==> failed again alone: \1/p' "$again"
    elif [ -z "$others" ]; then
        say "all of them are fault or interoperability tests, which measure time, and passed alone"
        return 0
    fi
    return 1
}

# first_words LOG NAME…: the end of what these tests wrote.
first_words() {
    python3 - "$@" <<'EOF'
import re, sys
log, *names = sys.argv[1:]
blocks = re.split(r"^\d+/\d+ Testing: ", open(log, errors="replace").read(), flags=re.M)[1:]
for name, _, text in (block.partition("\n") for block in blocks):
    if name.strip() in names:
        print(f"--- {name.strip()}, the first time:", *text.split("<end of output>")[0].splitlines()[-60:], sep="\n")
EOF
}

# skip_reasons LOG: ctest names the tests that were skipped; why, is in what they wrote.
skip_reasons() {
    awk '/^[0-9]+\/[0-9]+ Testing: / { name = $3 }
         /: Skipped$/ { getline; print "    " name ": " $0 }
         /^skipped: / { print "    " name ": " substr($0, 10) }' "$1" | {
        read -r first || return 0
        say "why tests were skipped"
        printf '    %s\n' "$first"
        cat
    }
}

# selects_label LABELS PRESET [CTEST_OPTION…]: whether a chosen test has one of these labels. What it needs (RabbitMQ, Redis or
# PostgreSQL; Chromium) is seen to by that, so that such a test never has to find out that it is not there.
selects_label() {
    local labels=$1 preset=$2 selected
    shift 2
    selected=$(ctest --preset "$preset" --show-only=json-v1 "$@") || return 1
    python3 -c '
import json, sys
labels = {label for test in json.load(sys.stdin)["tests"] for found in test["properties"] if found["name"] == "LABELS"
          for label in found["value"]}
sys.exit(not labels & set(sys.argv[1].split()))' "$labels" <<<"$selected"
}

sanitizer_options() {
    export ASAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-19 TSAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-19
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
    export TSAN_OPTIONS=second_deadlock_stack=1:external_symbolizer_path=/usr/bin/llvm-symbolizer-19:suppressions=$PWD/tests/support/tsan.supp
}

# nothing_left_behind MARK: every process a test starts inherits MARK, so survivors can be named.
nothing_left_behind() {
    local pid
    local -a pids
    mapfile -t pids < <(marked_processes "$1")
    if [ ${#pids[@]} -gt 0 ]; then
        # What is just ending gets a moment.
        for pid in "${pids[@]}"; do
            timeout 2 tail --pid="$pid" -f /dev/null || true
        done
        mapfile -t pids < <(marked_processes "$1")
    fi
    if [ ${#pids[@]} -eq 0 ]; then
        say "no process was left behind"
        return 0
    fi
    for pid in "${pids[@]}"; do
        printf 'dev: a test left process %s running: %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)" >&2
        kill -KILL "$pid" 2>/dev/null || true
    done
    return 1
}

marked_processes() {
    grep -lzsxF "LOVAGE_TEST_RUN=$1" /proc/[0-9]*/environ | sed -nE 's,^/proc/([0-9]+)/.*,\1,p' || true
}
