# Read by the demos: show a command and run it from $BIN; write a real text collection to $BUILD.

run() {
    printf '\n$ %s\n' "$*"
    "$BIN/$@"
}

collection() {
    printf '\n$ python demo/passages.py > %s   # the Python language reference, one paragraph a line\n' "$BUILD/passages.txt"
    "$BIN/python" demo/passages.py > "$BUILD/passages.txt"
}
