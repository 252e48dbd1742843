# campaign.bash - what the campaigns share; sourced from the repository's root.
# Sets: minutes, seed, end (seconds since the epoch).

campaign_options() {
    minutes=10 seed=$(($(date +%s) % 1000000000))
    while [ $# -gt 0 ]; do
        case $1 in
        --minutes) minutes=$2 ;;
        --seed) seed=$2 ;;
        *) echo "usage: --minutes N [--seed N]" >&2 && exit 2 ;;
        esac
        shift 2
    done
    end=$(($(date +%s) + minutes * 60))
}

# The debug build, and the node and packages that the system tests use.
campaign_build() {
    ./dev build >&2
    local node
    node=$(find build/node -maxdepth 3 -path '*/bin/node' 2>/dev/null | sort | tail -1)
    if [ -z "$node" ] || [ ! -d tests/system/node_modules ]; then
        echo "campaign: run ./dev test system once before: it fetches node and the client" >&2
        exit 1
    fi
    PATH="$PWD/$(dirname "$node"):$PATH"
    PARLEY_BUILD_DIR="$PWD/build/debug"
    export PATH PARLEY_BUILD_DIR
}

# campaign_field JSON NAME
campaign_field() {
    python3 -c 'import json, sys; print(json.loads(sys.argv[1] or "{}").get(sys.argv[2], 0))' "$1" "$2"
}

# campaign_record NAME COUNTS RESULT: one more row of docs/campaigns.md.
campaign_record() {
    printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$(date -u +%Y-%m-%d)" "$1" \
        "$(git rev-parse --short HEAD)" "$seed" "$minutes" "$2" "$3" >>docs/campaigns.md
}
