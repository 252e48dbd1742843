#!/bin/bash
# kill.sh --minutes N [--seed N]: the kill test of the whole platform, round after round, each with a seed of its own; a line of
# docs/campaigns.md for the sum. Ends with 1 at the first round with a breach (its seed repeats it).
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/campaign/campaign.bash
campaign_options "$@"
campaign_build
messages=2000 kills=50 rounds=0 total_kills=0 total_accepted=0 status=passed
while [ "$(date +%s)" -lt "$end" ] && [ $status = passed ]; do
    line=$(cd tests/system && node killrun.js --messages $messages --kills $kills --seed $((seed + rounds))) || status=FAILED
    echo "$line"
    rounds=$((rounds + 1))
    total_kills=$((total_kills + $(campaign_field "$line" kills)))
    total_accepted=$((total_accepted + $(campaign_field "$line" accepted)))
done
campaign_record kill "$rounds rounds, $total_kills kills, $total_accepted messages accepted" $status
[ $status = passed ]
