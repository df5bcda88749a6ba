#!/usr/bin/env bash
# Which objective the colorizer that comes with kcolor is trained with: each on
# the same frozen encoder and as many photos, then finished by a discriminator.
#
#     benchmarks/objectives.sh DATA OUT [NAME ...]
#
# DATA is a folder with train/ and test/, OUT that of the runs; NAME are some of
# the objectives below. What is finished is left out, what was stopped goes on.
set -euo pipefail
data=$1 out=$2
shift 2
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(l2 ce0 ce5 mdn energy)

declare -A loss=(
    [l2]="--loss l2"
    [ce0]="--loss ce --rebalance 0"
    [ce5]="--loss ce --rebalance 0.5"
    [mdn]="--loss mdn"
    [energy]="--loss energy --draws 2"
)
encoder="--arch unet --encoder efficientnet_lite0 --filters 64"
shared="--freeze-encoder true --data $data --validation-share 0.033
    --image-size 64 --batch-size 64 --optimizer adamw --weight-decay 0.01"

run() { # NAME FLAG...
    local name=$1 resume=()
    shift
    [ -f "$out/$name/metrics.json" ] && return
    [ -f "$out/$name/config.yaml" ] && resume=(--resume)
    kcolor-train --run "$out/$name" "${resume[@]}" "$@"
}

for name in "${names[@]}"; do
    # Words, not one: they are flags.
    # shellcheck disable=SC2086
    run "$name" $encoder $shared ${loss[$name]} \
        --learning-rate 0.001 --warmup-steps 200 --epochs 4
    # shellcheck disable=SC2086
    run "$name-gan" --init "$out/$name" $shared --scheme cgan \
        --learning-rate 0.0001 --discriminator-rate 0.0002 --epochs 1 --steps 200
done

runs=()
for name in "${names[@]}"; do runs+=("$out/$name" "$out/$name-gan"); done
kcolor-evaluate "${runs[@]}" grey --data "$data" --image-size 64 \
    --json "$out/objectives.json" --metrics rmse_ab auc auc_rebalanced \
    colorfulness_gap fid_efficientnet_lite0 recognised machine_turing
