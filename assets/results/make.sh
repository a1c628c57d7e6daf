#!/bin/sh
# Makes the tables of this folder again: sh assets/results/make.sh DATA WORK [NAME ...]
#
# DATA holds mnist.npz, usps.npz, cifar10_lossless5k.npz, cifar10_jpeg.npz and cifar10n_labels.npz,
# WORK gets the trials. A run that was stopped goes on where it was; without names all are made, the
# most telling ones first. JOBS processes run at once (default 2), one thread each.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
ln -sfn "$(cd "$1" && pwd -P)" "$2/data"
cd "$2"
shift 2
export OMP_NUM_THREADS=1

digits="builtin:digits#train --test builtin:digits#test --initial 40 --query-size 40"
mnist="data/mnist.npz#train --test data/mnist.npz#test --pool-size 5000 --test-size 2000 \
--image-size 16 --initial 50 --query-size 50 --rounds 6 --seeds 5 --methods random,margin,dgaal"

for name in "${@:-all}"; do
    [ "$name" != all ] || exec sh "$here/make.sh" data . digits mnist-small mnist-small-rare \
        digits-absent-classes gaal-mnist-usps-small vaal-cifar10-small dgaal-cifar10-small \
        gaal-mnist-small vaal-cifar10-bias-small dgaal-cifar10-adaptive-small \
        dgaal-cifar10-progressive-small dgaal-cifar10-balanced-small gaal-cifar-auto-horse-small \
        vaal-cifar10-noise-small vaal-cifar10-budget-small dgaal-cifar10-generation-small \
        dgaal-cifar10-adversary-small
    case $name in
        digits) what="$digits --rounds 6 --seeds 10 --full-data --methods random,margin,entropy,dgaal" ;;
        digits-absent-classes)
            what="$digits --rounds 4 --seeds 10 --absent-classes 3,8 --methods random,margin,entropy,dgaal" ;;
        mnist-small) what="$mnist --full-data" ;;
        mnist-small-rare) what="$mnist --imbalance random:3=0.1" ;;
        *) what="--preset $name --data data" ;;
    esac
    # shellcheck disable=SC2086 # options are words
    dgaal simulate $what --jobs "${JOBS:-2}" -o "$name"
    sed "1s/.*/# $name/" "$name/table.md" > "$here/$name.md"
done
