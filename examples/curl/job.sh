#!/bin/sh
# Compresses an image of up to 25 MB as a job: job.sh camera.jpg small.avif format=avif max_width=1600
set -eu
source=$1 target=$2
shift 2
for field in "$@"; do
  set -- "$@" --form-string "$field"
  shift
done

# Waits and tries again where the service asks for it.
call() { curl --silent --show-error --fail-with-body --retry 5 --header "Authorization: Bearer $KEY" "$@"; }

answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
# The key makes it safe to send the same again: it stays one job.
id=$(call --header "Idempotency-Key: $(date +%s)-$$" --form "file=@\"$source\"" "$@" \
  --output "$answer" --write-out '%header{x-job-id}' "$API/api/v1/compress") || { cat "$answer" >&2; exit 1; }

while :; do
  status=$(call "$API/api/v1/status/$id") || { echo "$status" >&2; exit 1; }
  case $status in
    *'"status":"complete"'*) break ;;
    *'"status":"failed"'*) echo "$status" >&2; exit 1 ;;
  esac
  sleep 1
done
call --location --output "$target" "$API/api/v1/download/$id"
echo "$status"
