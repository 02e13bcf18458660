# shellcheck shell=bash
# What can be said about the sources without running them. Sourced by ./dev.

# lint [FILE…]: everything, or clang-tidy on the named sources only beside the quick checks.
lint() {
    setup_groups build lint bench
    local failed=0 started
    started=$(date +%s)
    say "module layers"
    python3 tools/check_layers.py || failed=1
    say "work without an owner"
    lint_detached || failed=1
    say "shell scripts"
    lint_shell || failed=1
    say "layout (./dev fmt mends it)"
    lint_layout || failed=1
    say "clang-tidy"
    lint_tidy "$@" || failed=1
    [ $failed -eq 0 ] || die "lint found faults; they are named above"
    say "lint found nothing, in $(took "$started")"
}

# cpp_sources: every C and C++ file that git knows or would know, NUL-separated.
cpp_sources() { git ls-files -z --cached --others --exclude-standard -- '*.cpp' '*.hpp' '*.c' '*.h'; }

format_sources() {
    setup_groups lint
    cpp_sources | xargs -0 -r clang-format-19 -i
}

# Names the files only: what to change in them, clang-format does itself.
lint_layout() {
    local files
    files=$(cpp_sources | xargs -0 -r clang-format-19 --dry-run 2>&1 | sed -nE 's,^([^: ]+):[0-9]+:[0-9]+: .*,    \1,p' | sort -u)
    [ -z "$files" ] || { printf '%s\n' "$files"; return 1; }
}

# A coroutine that nobody owns outlives what it refers to; TaskScope is the place for them.
lint_detached() { ! git grep -nE 'asio::detached|\.detach\(\)' -- lovage examples tests | grep -v '// lint: owned by'; }

lint_shell() { git grep -lzE '^#!.*\b(ba)?sh\b|^# shellcheck shell=' -- . ':!*.md' | xargs -0 -r shellcheck -x; }

# The release build compiles several sources together, and reading them together takes a third of the time. Named sources are
# read one by one, as the debug build compiles them. Either way the precompiled headers must be there before.
lint_tidy() {
    local preset=release
    local -a files=("$@")
    [ ${#files[@]} -eq 0 ] || preset=debug
    prepare_build "$preset" -DLOVAGE_BUILD_BENCH=ON
    build_targets "$preset" lovage_boost lovage_test_pch lovage_core_test_pch
    [ ${#files[@]} -gt 0 ] || mapfile -t files < <(
        sed -nE 's,^ *"file": "(.*)".*,\1,p' "build/$preset/compile_commands.json" | grep -v 'cmake_pch\|/test_pch.cpp$' | sort -u)
    printf '%s\0' "${files[@]}" | xargs -0 -r -n 4 -P "$(jobs_limit)" clang-tidy-19 --quiet -p "build/$preset"
}
