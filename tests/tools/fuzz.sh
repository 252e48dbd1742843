#!/bin/bash
# fuzz.sh SECONDS: build every fuzzer and run each that long on its seeds; TAP on standard output.
# What it finds beyond the seeds stays in build/fuzz/corpus, crashing inputs in build/fuzz/crashes.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
seconds=$1
dir=build/fuzz
number=0
failed=0

report() { # RESULT TITLE
    number=$((number + 1))
    echo "$1 $number - $2"
    [ "$1" = ok ] || failed=1
}

if [ ! -f $dir/build.ninja ]; then
    CC=clang meson setup $dir -Dfuzzers=true >&2 || { echo "not ok 1 - configure $dir"; echo "1..1"; exit 1; }
fi
# the list of targets is only as new as the build file: renew it first
ninja -C $dir build.ninja >&2 || { echo "not ok 1 - configure $dir"; echo "1..1"; exit 1; }
targets=$(cd $dir && ninja -t targets all 2>/dev/null | sed -n 's|^\(tests/fuzz/fuzz_[a-z0-9_]*\): c_LINKER.*|\1|p' | sort)
# shellcheck disable=SC2086 # one word a target
ninja -C $dir $targets >&2 || { echo "not ok 1 - build the fuzzers"; echo "1..1"; exit 1; }
mkdir -p $dir/crashes
for target in $targets; do
    name=${target##*/fuzz_}
    mkdir -p "$dir/corpus/$name" "tests/fuzz/corpus/$name"
    if UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 timeout $((seconds * 3 + 60)) "$dir/$target" -max_total_time="$seconds" \
        -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$dir/crashes/$name-" \
        "$dir/corpus/$name" "tests/fuzz/corpus/$name" >"$dir/$name.log" 2>&1; then
        report ok "fuzz $name $(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) second.*/\1 inputs in \2 s/p' "$dir/$name.log")"
    else
        report "not ok" "fuzz $name"
        tail -40 "$dir/$name.log" | sed 's/^/# /'
    fi
done
echo "1..$number"
exit $failed
