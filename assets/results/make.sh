#!/bin/sh
# Makes the tables of this folder again: sh assets/results/make.sh DATA WORK [NAME ...]
#
# DATA holds mnist.npz, usps.npz, cifar10_lossless5k.npz, cifar10_jpeg.npz and cifar10n_labels.npz,
# WORK gets the trials. A run that was stopped goes on where it was; without names all are made, the
# most telling ones first. JOBS processes run at once (default 2), one thread each.
set -euf

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
ln -sfn "$(cd "$1" && pwd -P)" "$2/data"
cd "$2"
shift 2
export OMP_NUM_THREADS=1

pool_learner="random[classifier.semi_supervised=fixmatch]" # T learns from the pool, nobody chooses
digits="builtin:digits#train --test builtin:digits#test --initial 40 --query-size 40 --seeds 5 \
--full-data --methods random,margin,entropy,badge,coreset,dgaal,$pool_learner"
mnist="data/mnist.npz#train --test data/mnist.npz#test --pool-size 5000 --test-size 2000 \
--image-size 16 --initial 30 --query-size 30 --rounds 8 --seeds 5 \
--full-data --methods random,margin,dgaal,$pool_learner"
color="data/cifar10_jpeg.npz#train --test data/cifar10_jpeg.npz#test --classes 1,7 --pool-size 1500 \
--test-size 1000 --image-size 16 --initial 30 --query-size 30 --rounds 6 --seeds 5 --full-data \
--set classifier.steps=300 --set classifier.flip=true --methods random,margin,dgaal,$pool_learner"

for name in "${@:-all}"; do
    [ "$name" != all ] || exec sh "$here/make.sh" data . digits mnist-small mnist-small-rare \
        digits-absent-classes color-small gaal-mnist-usps-small vaal-cifar10-small dgaal-cifar10-small \
        gaal-mnist-small vaal-cifar10-bias-small dgaal-cifar10-adaptive-small \
        dgaal-cifar10-progressive-small dgaal-cifar10-balanced-small gaal-cifar-auto-horse-small \
        vaal-cifar10-noise-small vaal-cifar10-budget-small dgaal-cifar10-generation-small \
        dgaal-cifar10-adversary-small
    case $name in
        digits) what="$digits --rounds 6" ;;
        digits-absent-classes) what="$digits --rounds 4 --absent-classes 3,8" ;;
        mnist-small) what="$mnist" ;;
        mnist-small-rare) what="$mnist --imbalance random:3=0.1" ;;
        color-small) what="$color" ;;
        *) what="--preset $name --data data" ;;
    esac
    # shellcheck disable=SC2086 # options are words
    dgaal simulate $what --jobs "${JOBS:-2}" -o "$name"
    sed "1s/.*/# $name/" "$name/table.md" > "$here/$name.md"
done
