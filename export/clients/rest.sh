#!/bin/sh
# Colours a photo by a server, over REST. Needs curl, base64, tr and sed.
set -eu

if [ "${1:-}" = "--help" ] || [ $# -lt 2 ]; then
    echo "usage: rest.sh PHOTO OUT.png [http://127.0.0.1:8501/v1/models/kcolor]"
    echo "The URL may end in /versions/2 or /labels/stable."
    [ "${1:-}" = "--help" ] && exit 0 || exit 2
fi
photo=$1 out=$2 url=${3:-http://127.0.0.1:8501/v1/models/kcolor}
if [ ! -r "$photo" ]; then
    echo "rest.sh: cannot read $photo" >&2
    exit 1
fi
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

if ! code=$({
    printf '{"signature_name": "colorize", "instances": [{"b64": "'
    base64 < "$photo" | tr -d '\n'
    printf '"}]}'
} | curl --silent --output "$answer" --write-out '%{http_code}' \
    --header 'Content-Type: application/json' --data-binary @- \
    "$url:predict"); then
    echo "rest.sh: no answer from $url" >&2
    exit 1
fi
if [ "$code" != 200 ]; then
    # {"error": "..."}; what stands behind its first line is of the graph.
    reason=$(tr -d '\n' < "$answer" |
        sed 's/^ *{ *"error": *"//; s/" *} *$//; s/\\n.*//')
    printf '%s\n' "rest.sh: the server refuses ($code): $reason" >&2
    exit 1
fi
# The one long string of the answer is the photo.
tr -d ' \n' < "$answer" | sed 's/.*"b64":"\([^"]*\)".*/\1/' |
    base64 -d > "$out"
