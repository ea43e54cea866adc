#!/bin/sh
# Runs the app of the current directory, by its skein.toml, as one of three regions of this machine, until Ctrl-C:
#   ../region.sh ams
# On three machines it would be `skein run` and no more. Here each region needs ports and a directory of its own, and
# the lease that decides who leads lies in a directory that all three see.
set -eu
case ${1-} in
  ams) number=1 ;;
  ord) number=2 ;;
  syd) number=3 ;;
  *) echo "usage: $0 ams|ord|syd" >&2; exit 2 ;;
esac
repository=$(cd "$(dirname "$0")/.." && pwd)
export PATH="$repository/node_modules/.bin:$PATH"

set -- --node-name "$1" --node-region "$1" --node-candidate true --node-listen "127.0.0.1:2020$number" \
  --database-dir "data/$1" --http-service-internal-port "300$number" \
  --lease-type file --lease-path data/lease --lease-ttl 3s
# Only an app that is to have a door gets one.
if grep -q '^\[http\]' skein.toml; then set -- "$@" --http-listen "127.0.0.1:808$number"; fi
exec "$repository/bin/skein" run "$@"
