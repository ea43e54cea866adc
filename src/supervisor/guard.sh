#!/bin/sh
# Ends the app's processes when the node is gone, however it went: started by guard.ts, one for each node.
#
# $1 is the token in the environment of every process of the app (not in this script's own). Standard input is a pipe
# from the node: lines `add PGID` and `remove PGID` keep the list of process groups, and its end means that the node
# is gone or has stopped. Only builtins run until then, so that a full process table does not stop the guard.

token=$1
groups=
# A signal to everything that the terminal or the service manager can reach must not end the guard before its work.
trap '' HUP INT QUIT TERM

while read -r verb group; do
  case $verb in
    add) groups="$groups $group" ;;
    remove)
      kept=
      for known in $groups; do
        [ "$known" = "$group" ] || kept="$kept $known"
      done
      groups=$kept
      ;;
  esac
done

# Prints the ids of the processes with the token. An environment is NUL-separated, and not every grep looks past a NUL.
marked() {
  if printf 'a\0b' | grep -q -a -F b 2>/dev/null; then
    printf '%s\n' /proc/[0-9]*/environ | xargs grep -l -a -F -e "SKEIN_GUARD=$token" 2>/dev/null
  else
    for file in /proc/[0-9]*/environ; do
      { tr '\0' '\n' <"$file" | grep -q -F -e "SKEIN_GUARD=$token"; } 2>/dev/null && printf '%s\n' "$file"
    done
  fi | while IFS=/ read -r _ _ pid _; do printf '%s\n' "$pid"; done
}

# A process may fork between the look and the kill, so only two empty rounds in a row are an end.
empty=0
round=0
while [ "$empty" -lt 2 ] && [ "$round" -lt 200 ]; do
  found=
  for group in $groups; do
    # No `found`: the kernel lets nothing fork out of this, and the dead count as members until they are collected.
    kill -s KILL -- "-$group" 2>/dev/null
  done
  if [ -e /proc/self/environ ]; then
    for pid in $(marked); do
      kill -s KILL "$pid" 2>/dev/null && found=yes
    done
  fi
  round=$((round + 1))
  if [ -n "$found" ]; then empty=0; else empty=$((empty + 1)); fi
  sleep 0.02 2>/dev/null || sleep 1
done
