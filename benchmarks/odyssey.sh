#!/usr/bin/env bash
# The poster's grid at one budget, measured and set side by side on one page.
#
#     benchmarks/odyssey.sh DATA OUT [DOMAINS] [MINUTES]
#
# DATA: a folder with train/CLASS and test/CLASS. OUT: the runs, and report/.
# DOMAINS: a table, a line class<TAB>domain each, or the word classes.
# Stopped and started again, it goes on where it was.
set -euo pipefail
data=$1 out=$2 domains=${3:-classes} minutes=${4:-8}
cd "$(dirname "$0")/.."

names=(l2 l2-dropout smooth-l1 ce zhang-ce unet-l2 unet-ce
  unet-l1-cgan-patch unet-l1-cyclegan-patch)
configs=("${names[@]/#/configs/imagenet64-}")
python benchmarks/budget.py "${configs[@]/%/.yaml}" \
  --data "$data" --out "$out" --minutes "$minutes"
kcolor-report "${names[@]/#/$out/imagenet64-}" grey mean \
  --data "$data" --domains "$domains" --out "$out/report"
