#!/bin/sh
# What the slim install does by itself, with the encoder that comes with it. Each command is shown before it runs.
set -eu
mkdir -p "$BUILD"
. "$(dirname "$0")/run.sh"

run sestina verify
run sestina tokenize "the Transformer is an innovative NLP model !"
run sestina similar "How do plants eat?" "Photosynthesis turns light into sugar." "The stock market fell today."

collection
run sestina encode --input "$BUILD/passages.txt" --output "$BUILD/passages.npy" --on-truncate ignore
run sestina search "When is an object destroyed?" \
    --in "$BUILD/passages.npy" --texts "$BUILD/passages.txt" --top 3
